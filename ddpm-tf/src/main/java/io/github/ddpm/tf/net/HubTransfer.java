package io.github.ddpm.tf.net;

import com.google.common.math.LongMath;
import io.github.ddpm.tf.net.HubListing.HubFile;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;

/**
 * Brings files of a model into the cache.
 *
 * @param http what asks the hub
 * @param name of the model
 * @param listing what the hub says that there is
 */
record HubTransfer(
    HubSettings settings, Http http, HubCache cache, String name, HubListing listing) {
  private static final System.Logger LOG = System.getLogger(HubTransfer.class.getName());

  /** The time for a file of many gigabytes on a slow line. */
  private static final Duration LIMIT = Duration.ofDays(1);

  /**
   * Makes sure that the cache has some files; they have no names there yet.
   *
   * @throws IOException if they can't be downloaded, or don't fit on the disk
   */
  void receive(List<String> names, HubListener listener) throws IOException {
    Map<String, HubFile> missing = new LinkedHashMap<>();
    long total = 0;
    long left = 0;
    for (String file : names) {
      HubFile entry = listing.files().get(file);
      total = LongMath.saturatedAdd(total, entry.size());
      if (!cache.has(listing.commit(), file, entry)) {
        missing.put(file, entry);
        left = LongMath.saturatedAdd(left, entry.size());
      }
    }
    if (missing.isEmpty()) {
      return;
    }
    checkSpace(missing, left);
    LOG.log(
        Level.INFO,
        "{0}: downloading {1} of {2} bytes to {3}",
        name,
        String.valueOf(left),
        String.valueOf(total),
        cache.folder());
    Download download =
        new Download(
            List.of(settings.endpoint().resolve(name + "/resolve/" + listing.commit() + "/")),
            settings.rounds(),
            http,
            settings.pause(),
            LIMIT);
    long done = total - left;
    for (Map.Entry<String, HubFile> file : missing.entrySet()) {
      HubFile entry = file.getValue();
      long before = done;
      long all = total;
      download.fetch(
          file.getKey(),
          entry.content(),
          cache.blob(entry),
          Level.DEBUG, // The line above says it of all files, and this one's name is a checksum.
          bytes -> tell(listener, before + Math.min(bytes, entry.size()), all));
      done += entry.size();
      // Somebody else may have downloaded it meanwhile.
      tell(listener, done, total);
    }
  }

  private void tell(HubListener listener, long bytes, long total) {
    if (!listener.received(bytes, total)) {
      throw new CancellationException("the download of " + name + " was canceled");
    }
  }

  private void checkSpace(Map<String, HubFile> missing, long left) throws IOException {
    Files.createDirectories(cache.folder());
    long needed = left;
    for (HubFile file : missing.values()) {
      needed -= Math.min(file.size(), PartFile.of(cache.blob(file)).size());
    }
    long free = Files.getFileStore(cache.folder()).getUsableSpace();
    if (needed > free) {
      throw new IOException(
          "%s needs %d more bytes, and %s has %d free; the environment variable HF_HUB_CACHE names another folder"
              .formatted(name, needed, cache.folder(), free));
    }
  }

  /** Returns where a file can be read that is there. */
  Path path(String file) throws IOException {
    return cache.path(listing.commit(), file, listing.files().get(file));
  }

  /** Gives files their names. */
  void show(List<String> names) throws IOException {
    for (String file : names) {
      cache.show(listing.commit(), file, listing.files().get(file));
    }
  }
}
