package io.github.ddpm.tf.files;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.ddpm.spi.Excerpt;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A pickle of Python, protocols 2 to 5, of which dicts, tuples, texts, whole numbers and truth
 * values are read. A pickle is a program for a machine with a stack and a memo, and may name any
 * function of Python to call. Here it names what {@link Globals} has, and nothing of Python is run.
 *
 * <p>Values may hold themselves, and one another to any depth: nobody goes into them but by the
 * keys of a dict or the items of a tuple, and their texts say what they are, not what is in them.
 */
final class Pickle {
  /** What a byte of a pickle takes in memory at most: an empty dict has one. */
  static final int TREE = 96;

  private static final int MIN_PROTOCOL = 2;
  private static final int MAX_PROTOCOL = 5;
  private static final Tuple EMPTY = new Tuple(List.of());

  /** What a pickle may name, and what comes of it. */
  interface Globals {
    /** Tells whether a pickle may name this. */
    boolean has(String name);

    /**
     * Returns what a global makes of arguments.
     *
     * @throws IOException if it is no function, or not one of these arguments
     */
    Object call(String name, List<Object> arguments) throws IOException;

    /**
     * Returns what is kept outside of the pickle.
     *
     * @param id by which the pickle refers to it
     * @throws IOException if there is no such thing
     */
    Object load(Object id) throws IOException;
  }

  /** A dict, or a dict that Python calls ordered. */
  static final class Dict {
    private final Map<String, Object> items = new LinkedHashMap<>();

    Map<String, Object> items() {
      return items;
    }

    @Override
    public String toString() {
      return "a dict";
    }
  }

  record Tuple(List<Object> items) {
    @Override
    public String toString() {
      return "a tuple";
    }
  }

  record Global(String name) {
    @Override
    public String toString() {
      return name;
    }
  }

  /** Objects of which there is one. */
  private enum Single {
    MARK,
    NONE
  }

  private final String where;
  private final ByteBuffer in;
  private final Globals globals;
  private final List<Object> stack = new ArrayList<>();
  private final List<Object> memo = new ArrayList<>();

  /** What messages name: the operation that is being done, and its place. */
  private PickleOp op = PickleOp.PROTO;

  private int place;

  /**
   * Prepares to read a pickle.
   *
   * @param where messages begin with
   */
  Pickle(String where, byte[] bytes, Globals globals) {
    this.where = where;
    this.in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    this.globals = globals;
  }

  /**
   * Returns the value.
   *
   * @return a {@link Dict}, {@link Tuple}, {@link Global}, text, {@code Long}, truth value, or what
   *     the globals made
   * @throws IOException if the pickle is damaged or has anything else; the message names it
   */
  Object read() throws IOException {
    if (in.remaining() < 2 || nextOp() != PickleOp.PROTO) {
      throw new IOException(where + ": must begin as a pickle of protocol 2 to 5");
    }
    int protocol = unsigned(in.get());
    if (protocol < MIN_PROTOCOL || protocol > MAX_PROTOCOL) {
      throw problem("the protocol must be in [2, 5], got " + protocol);
    }
    while (nextOp() != PickleOp.STOP) {
      step();
    }
    Object value = pop();
    if (!stack.isEmpty() || in.hasRemaining()) {
      throw problem(
          "nothing may be left, got " + stack.size() + " values and " + in.remaining() + " bytes");
    }
    return value;
  }

  private PickleOp nextOp() throws IOException {
    if (!in.hasRemaining()) {
      throw new IOException(where + ": ends without a STOP");
    }
    place = in.position();
    byte code = in.get();
    op =
        PickleOp.of(code)
            .orElseThrow(
                () ->
                    new IOException(
                        where + ": byte " + place + " is no operation, got " + unsigned(code)));
    checkLeft(op.argumentBytes());
    return op;
  }

  private void step() throws IOException {
    switch (op) {
      case MARK -> stack.add(Single.MARK);
      case NONE -> stack.add(Single.NONE);
      case NEWTRUE -> stack.add(true);
      case NEWFALSE -> stack.add(false);
      case BININT -> stack.add((long) in.getInt());
      case BININT1 -> stack.add((long) unsigned(in.get()));
      case BININT2 -> stack.add((long) Short.toUnsignedInt(in.getShort()));
      case LONG1 -> stack.add(wholeNumber(unsigned(in.get())));
      case SHORT_BINUNICODE -> stack.add(text(unsigned(in.get())));
      case BINUNICODE -> stack.add(text(Integer.toUnsignedLong(in.getInt())));
      case EMPTY_TUPLE -> stack.add(EMPTY);
      case TUPLE1 -> stack.add(new Tuple(pop(1)));
      case TUPLE2 -> stack.add(new Tuple(pop(2)));
      case TUPLE3 -> stack.add(new Tuple(pop(3)));
      case TUPLE -> stack.add(new Tuple(popToMark()));
      case EMPTY_DICT -> stack.add(new Dict());
      case SETITEM -> putAll(pop(2));
      case SETITEMS -> putAll(popToMark());
      case BINPUT -> memoize(unsigned(in.get()));
      case LONG_BINPUT -> memoize(Integer.toUnsignedLong(in.getInt()));
      case MEMOIZE -> memoize(memo.size());
      case BINGET -> stack.add(remembered(unsigned(in.get())));
      case LONG_BINGET -> stack.add(remembered(Integer.toUnsignedLong(in.getInt())));
      case GLOBAL -> stack.add(global(line(), line()));
      case STACK_GLOBAL -> {
        List<Object> names = pop(2);
        stack.add(global(expect(String.class, names.get(0)), expect(String.class, names.get(1))));
      }
      case REDUCE -> {
        Tuple arguments = expect(Tuple.class, pop());
        stack.add(globals.call(expect(Global.class, pop()).name(), arguments.items()));
      }
      case BUILD -> {
        // PyTorch's dicts have attributes, the versions of modules, which no tensor depends on.
        expect(Dict.class, pop());
        expect(Dict.class, top());
      }
      case BINPERSID -> stack.add(globals.load(pop()));
      // The parts of large pickles, which are whole here.
      case FRAME -> checkLeft(in.getLong());
      default -> throw refused("the operation " + op);
    }
  }

  private Global global(String module, String name) throws IOException {
    String global = module + "." + name;
    if (!globals.has(global)) {
      throw refused("the global " + Excerpt.of(global));
    }
    return new Global(global);
  }

  private void putAll(List<Object> keysAndValues) throws IOException {
    Map<String, Object> items = expect(Dict.class, top()).items();
    if (keysAndValues.size() % 2 != 0) {
      throw problem("a key has no value");
    }
    for (int i = 0; i < keysAndValues.size(); i += 2) {
      String key = expect(String.class, keysAndValues.get(i));
      if (items.put(key, keysAndValues.get(i + 1)) != null) {
        throw problem("key " + Excerpt.of(key) + " is there twice");
      }
    }
  }

  /** Remembers the top value; Python counts, and never remembers in another order. */
  private void memoize(long index) throws IOException {
    if (index != memo.size()) {
      throw problem("the memo's index must be the next, " + memo.size() + ", got " + index);
    }
    memo.add(top());
  }

  private Object remembered(long index) throws IOException {
    if (index >= memo.size()) {
      throw problem("the memo's index must be below " + memo.size() + ", got " + index);
    }
    return memo.get((int) index);
  }

  private long wholeNumber(int bytes) throws IOException {
    if (bytes > Long.BYTES) {
      throw problem("a whole number has at most 8 bytes, got " + bytes);
    }
    checkLeft(bytes);
    long number = 0;
    for (int i = 0; i < bytes; i++) {
      number |= (long) unsigned(in.get()) << (Byte.SIZE * i);
    }
    // The highest bit that is there is the sign.
    int unused = Long.SIZE - Byte.SIZE * bytes;
    return number << unused >> unused;
  }

  private String text(long bytes) throws IOException {
    return new String(take(bytes), UTF_8);
  }

  private String line() throws IOException {
    int begin = in.position();
    int end = begin;
    while (end < in.limit() && in.get(end) != '\n') {
      end++;
    }
    String line = text(end - begin);
    checkLeft(1);
    in.get();
    return line;
  }

  private byte[] take(long bytes) throws IOException {
    checkLeft(bytes);
    byte[] taken = new byte[(int) bytes];
    in.get(taken);
    return taken;
  }

  private void checkLeft(long bytes) throws IOException {
    if (bytes < 0 || bytes > in.remaining()) {
      throw problem(
          "needs " + Long.toUnsignedString(bytes) + " bytes, but " + in.remaining() + " follow");
    }
  }

  private Object top() throws IOException {
    Object top = stack.isEmpty() ? Single.MARK : stack.get(stack.size() - 1);
    if (top == Single.MARK) {
      throw problem("there is no value on the stack");
    }
    return top;
  }

  private Object pop() throws IOException {
    Object top = top();
    stack.remove(stack.size() - 1);
    return top;
  }

  private List<Object> pop(int count) throws IOException {
    Object[] values = new Object[count];
    for (int i = count - 1; i >= 0; i--) {
      values[i] = pop();
    }
    return List.of(values);
  }

  private List<Object> popToMark() throws IOException {
    int mark = stack.lastIndexOf(Single.MARK);
    if (mark < 0) {
      throw problem("there is no MARK on the stack");
    }
    List<Object> values = List.copyOf(stack.subList(mark + 1, stack.size()));
    stack.subList(mark, stack.size()).clear();
    return values;
  }

  /** Returns a value as what it must be. */
  private <T> T expect(Class<T> type, Object value) throws IOException {
    if (!type.isInstance(value)) {
      throw problem("needs a " + type.getSimpleName() + ", got " + Excerpt.of(value));
    }
    return type.cast(value);
  }

  private IOException refused(String what) {
    return new IOException(
        where
            + ": must hold tensors alone, got "
            + what
            + " at byte "
            + place
            + "; nothing of it was run");
  }

  private IOException problem(String problem) {
    return new IOException(where + ": " + op + " at byte " + place + ": " + problem);
  }

  private static int unsigned(byte value) {
    return Byte.toUnsignedInt(value);
  }
}
