package io.github.ddpm.tf.files;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.stream.Collectors.joining;

import com.google.common.primitives.ImmutableLongArray;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.spi.Heap;
import io.github.ddpm.tf.files.StoredZip.Entry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.ndarray.Shape;

/**
 * What {@code torch.save} writes, since PyTorch 1.6, of a dict of names to tensors: a zip archive
 * of one folder, in which {@code data.pkl} says what each tensor is, as a pickle, and {@code
 * data/0}, {@code data/1}, … hold the numbers of storages. A tensor is a view of a storage, which
 * others may view too.
 *
 * <p>Nothing is run: a pickle has what it takes to call {@code torch._utils._rebuild_tensor_v2},
 * and here that is a method of this class. Whatever else a pickle may name is refused.
 */
final class PyTorchFile implements Pickle.Globals {
  /** Far more than the thousands of tensors of the largest network need. */
  private static final long MAX_PICKLE = 4_000_000;

  /** As many axes as PyTorch's operations take. */
  private static final int MAX_AXES = 64;

  private static final String PICKLE = "data.pkl";
  private static final String BYTE_ORDER = "byteorder";
  private static final String FORMAT = "a zip archive of PyTorch";

  private static final String DICT = "collections.OrderedDict";
  private static final String TENSOR = "torch._utils._rebuild_tensor_v2";
  private static final String PARAMETER = "torch._utils._rebuild_parameter";

  /** What the numbers of a storage are, by its class. */
  private static final Map<String, DType> STORAGES =
      Map.of(
          "torch.DoubleStorage", DType.F64,
          "torch.FloatStorage", DType.F32,
          "torch.HalfStorage", DType.F16,
          "torch.BFloat16Storage", DType.BF16);

  private final OpenFile file;
  private final Map<String, Entry> entries;

  /** The one folder, with a slash at its end. */
  private final String folder;

  /** Numbers in the file, whose place has been checked. */
  private record Storage(Entry entry, DType type, long count) {
    @Override
    public String toString() {
      return "a storage";
    }
  }

  /** A view of a storage that has been checked to stay in it. */
  private record Tensor(Storage storage, long offset, Shape shape, ImmutableLongArray strides) {
    @Override
    public String toString() {
      return "a tensor";
    }
  }

  private PyTorchFile(OpenFile file, Map<String, Entry> entries, String folder) {
    this.file = file;
    this.entries = entries;
    this.folder = folder;
  }

  /**
   * Lists the tensors of a file.
   *
   * @return the tensors by name, in the dict's order
   * @throws IOException if the file isn't valid or holds anything else; the message names the file
   *     and what is wrong
   */
  static Map<String, StoredArray> list(OpenFile file) throws IOException {
    checkStart(file);
    Map<String, Entry> entries = StoredZip.list(file);
    List<String> pickles =
        entries.keySet().stream().filter(name -> name.matches("(?s)[^/]*/data\\.pkl")).toList();
    if (pickles.size() != 1) {
      throw new IOException(
          file.path()
              + ": a file of PyTorch has one data.pkl in a folder, got "
              + Excerpt.of(String.join(", ", pickles.isEmpty() ? entries.keySet() : pickles)));
    }
    String pickle = pickles.get(0);
    String folder = pickle.substring(0, pickle.length() - PICKLE.length());
    return new PyTorchFile(file, entries, folder).arrays();
  }

  private static void checkStart(OpenFile file) throws IOException {
    FileStart start = FileStart.of(file);
    if (start.isZip()) {
      return;
    }
    String what = start.describe(FORMAT);
    if (start.isSafeTensors()) {
      what = "this is safetensors, not " + FORMAT + "; let its name end with .safetensors";
    } else if (start.isPickle()) {
      what =
          "this is a pickle in PyTorch's format from before 1.6, which is not read; have a newer"
              + " one save it again, by torch.save(torch.load(file), file)";
    } else if (what.isEmpty()) {
      what = "must be " + FORMAT + ", and begin as one";
    }
    throw new IOException(file.path() + ": " + what);
  }

  private Map<String, StoredArray> arrays() throws IOException {
    if (entries.containsKey(folder + BYTE_ORDER)) {
      String order = new String(bytes(BYTE_ORDER), UTF_8);
      if (!order.equals("little")) {
        throw problem("byteorder must be little, got " + Excerpt.of(order));
      }
    }
    byte[] pickle = bytes(PICKLE);
    Heap.check(file.path(), Pickle.TREE * (double) pickle.length);
    Object value = new Pickle(file.path() + ": " + PICKLE, pickle, this).read();
    if (!(value instanceof Pickle.Dict dict)) {
      throw problem("must hold a dict of names to tensors, got " + Excerpt.of(value));
    }
    Map<String, StoredArray> arrays = new LinkedHashMap<>();
    for (Map.Entry<String, Object> item : dict.items().entrySet()) {
      String name = item.getKey();
      if (!(item.getValue() instanceof Tensor tensor)) {
        throw new IOException(
            StoredArray.where(file, name)
                + " must be a tensor, because the file must hold a dict of names to tensors, got "
                + Excerpt.of(item.getValue()));
      }
      arrays.put(name, stored(name, tensor));
    }
    return arrays;
  }

  private StoredArray stored(String name, Tensor tensor) {
    DType type = tensor.storage().type();
    return new StoredArray(
        file,
        name,
        type,
        tensor.shape(),
        tensor.strides(),
        tensor.storage().entry().begin() + tensor.offset() * type.bytes());
  }

  @Override
  public boolean has(String name) {
    return STORAGES.containsKey(name) || List.of(DICT, TENSOR, PARAMETER).contains(name);
  }

  @Override
  public Object call(String name, List<Object> arguments) throws IOException {
    if (name.equals(DICT) && arguments.isEmpty()) {
      return new Pickle.Dict();
    }
    if (name.equals(TENSOR)
        && arguments.size() == 6
        && arguments.get(0) instanceof Storage storage
        && arguments.get(1) instanceof Long offset
        && arguments.get(2) instanceof Pickle.Tuple sizes
        && arguments.get(3) instanceof Pickle.Tuple strides) {
      return tensor(storage, offset, sizes, strides);
    }
    if (name.equals(PARAMETER)
        && arguments.size() == 3
        && arguments.get(0) instanceof Tensor tensor) {
      return tensor;
    }
    throw problem(
        name
            + " can't be called with "
            + Excerpt.of(arguments.stream().limit(9).map(Excerpt::of).collect(joining(", "))));
  }

  @Override
  public Object load(Object id) throws IOException {
    if (id instanceof Pickle.Tuple tuple
        && tuple.items().size() == 5
        && "storage".equals(tuple.items().get(0))
        && tuple.items().get(1) instanceof Pickle.Global type
        && STORAGES.containsKey(type.name())
        && tuple.items().get(2) instanceof String key
        && tuple.items().get(4) instanceof Long count) {
      return storage(STORAGES.get(type.name()), key, count);
    }
    throw problem("a persistent id must be that of a storage");
  }

  private Storage storage(DType type, String key, long count) throws IOException {
    Entry entry = entries.get(folder + "data/" + key);
    if (entry == null) {
      throw problem("entry " + Excerpt.of(folder + "data/" + key) + " is missing");
    }
    if (entry.size() % type.bytes() != 0 || entry.size() / type.bytes() != count) {
      throw problem(
          "storage "
              + Excerpt.of(key)
              + " of "
              + count
              + " numbers of "
              + type
              + " must have as many bytes, got "
              + entry.size());
    }
    return new Storage(entry, type, count);
  }

  private Tensor tensor(Storage storage, long offset, Pickle.Tuple sizes, Pickle.Tuple strides)
      throws IOException {
    int axes = sizes.items().size();
    if (axes > MAX_AXES || strides.items().size() != axes) {
      throw problem(
          storage,
          "have at most " + MAX_AXES + " sizes and as many strides",
          axes + " and " + strides.items().size());
    }
    ImmutableLongArray size = wholeNumbers(storage, sizes);
    ImmutableLongArray stride = wholeNumbers(storage, strides);
    long count = 1;
    long span = 1;
    try {
      for (int axis = 0; axis < axes; axis++) {
        count = Math.multiplyExact(count, size.get(axis));
        span = Math.addExact(span, Math.multiplyExact(size.get(axis) - 1, stride.get(axis)));
      }
    } catch (ArithmeticException e) {
      throw problem(storage, "end before 2^63", "sizes " + size + " and strides " + stride);
    }
    if (count == 0) {
      span = 0;
    }
    if (offset < 0 || offset > storage.count() || span > storage.count() - offset) {
      throw problem(
          storage,
          "be within its " + storage.count() + " numbers",
          span + " from offset " + offset);
    }
    // Else a small file could fill a large memory.
    if (count > storage.count()) {
      throw problem(storage, "have at most its " + storage.count() + " numbers", count);
    }
    if (span > StoredArray.MAX_COUNT) {
      throw problem(storage, "span at most " + StoredArray.MAX_COUNT + " numbers", span);
    }
    return new Tensor(storage, offset, Shape.of(size.toArray()), stride);
  }

  private ImmutableLongArray wholeNumbers(Storage storage, Pickle.Tuple numbers)
      throws IOException {
    ImmutableLongArray.Builder values = ImmutableLongArray.builder(numbers.items().size());
    for (Object number : numbers.items()) {
      if (!(number instanceof Long value) || value < 0) {
        throw problem(storage, "have sizes and strides of at least 0", number);
      }
      values.add(value);
    }
    return values.build();
  }

  private byte[] bytes(String name) throws IOException {
    Entry entry = entries.get(folder + name);
    if (entry.size() > MAX_PICKLE) {
      throw problem(name + " must have at most " + MAX_PICKLE + " bytes, got " + entry.size());
    }
    return file.read(entry.begin(), ByteBuffer.allocate((int) entry.size())).array();
  }

  private IOException problem(Storage storage, String rule, Object got) {
    return problem(
        "a tensor of "
            + Excerpt.of(storage.entry().name())
            + " must "
            + rule
            + ", got "
            + Excerpt.of(got));
  }

  private IOException problem(String problem) {
    return new IOException(file.path() + ": " + problem);
  }
}
