package io.github.ddpm.tf.net;

import static com.google.common.base.Preconditions.checkArgument;
import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.spi.Heap;
import io.github.ddpm.tf.files.Listing;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.WeightFiles;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.System.Logger.Level;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;

/**
 * Fetches models from the hub of Hugging Face, or another that speaks its API. Of a model it wants
 * the files that are read here and no others; nothing in them is run.
 */
public final class Hub {
  private static final System.Logger LOG = System.getLogger(Hub.class.getName());

  /** Far more than a hub says of a model. */
  private static final int MAX_LISTING = 1 << 24;

  /** What a byte of JSON takes as a tree at most. */
  private static final int TREE = 64;

  /** The time for what a hub says of a model. */
  private static final Duration LISTING_LIMIT = Duration.ofMinutes(2);

  private final HubSettings settings;

  Hub(HubSettings settings) {
    this.settings = settings;
  }

  /**
   * Returns the hub that the environment variables say, or Hugging Face's.
   *
   * @throws IllegalArgumentException if one is not what it must be; the message names it
   */
  public static Hub ofEnvironment() {
    return new Hub(HubSettings.of(System::getenv, Path.of(System.getProperty("user.home"))));
  }

  /**
   * Makes sure that the cache has a model.
   *
   * @param name {@code owner/name}
   * @param revision a branch, a tag or a commit; a commit that is there needs no network
   * @param listener is told of what has to be downloaded, and may end it
   * @return its folder, which {@link ModelFolder} reads
   * @throws IOException if it isn't there and can't be downloaded; the message says why and what to
   *     do. What arrived so far is kept for the next time
   * @throws IllegalArgumentException if a name or revision can't be one
   * @throws CancellationException if the listener ends it
   */
  public Path fetch(String name, String revision, HubListener listener) throws IOException {
    checkArgument(
        name.matches("\\w[\\w.-]{0,95}/\\w[\\w.-]{0,95}")
            && !name.contains("--")
            && !name.contains(".."),
        "a model's name on the hub must be as owner/name, got %s",
        Excerpt.of(name));
    checkArgument(
        revision.length() <= 200 && revision.matches("\\w[\\w.+@=-]*(/\\w[\\w.+@=-]*)*"),
        "revision must be a branch, a tag or a commit, got %s",
        Excerpt.of(revision));
    HubCache cache = HubCache.of(settings.cache(), name);
    if (HubListing.isCommit(revision) && isWhole(cache, revision)) {
      return cache.snapshot(revision);
    }
    if (settings.offline()) {
      return cached(
          cache, name, revision, new IOException("HF_HUB_OFFLINE is set, so the hub isn't asked"));
    }
    URI address = listing(name, revision);
    byte[] said;
    try {
      said = ask(address);
    } catch (StatusException e) {
      if (e.isLasting()) {
        throw refused(e, name, revision);
      }
      return cached(cache, name, revision, e);
    } catch (IOException e) {
      return cached(cache, name, revision, e);
    }
    return download(cache, name, revision, parse(said, address, revision), listener);
  }

  private static boolean isWhole(HubCache cache, String commit) {
    try {
      cache.checkWhole(commit);
      return true;
    } catch (IOException e) {
      return false; // It says so again if there is no network to complete it by.
    }
  }

  /** Returns what was downloaded before, where the hub can't be asked. */
  private Path cached(HubCache cache, String name, String revision, IOException why)
      throws IOException {
    Optional<String> commit =
        HubListing.isCommit(revision) ? Optional.of(revision) : cache.commit(revision);
    String missing = "it was never downloaded";
    if (commit.isPresent() && Files.isDirectory(cache.snapshot(commit.get()))) {
      try {
        cache.checkWhole(commit.get());
        Level level = settings.offline() ? Level.DEBUG : Level.WARNING;
        LOG.log(level, "{0}: {1}; commit {2} is in the cache and taken", name, why, commit.get());
        return cache.snapshot(commit.get());
      } catch (IOException e) {
        missing = e.getMessage();
      }
    }
    throw new IOException(
        "%s at %s is not in the cache %s (%s), and %s can't be asked for it: %s"
            .formatted(name, revision, settings.cache(), missing, settings.endpoint(), reason(why)),
        why);
  }

  private static String reason(IOException e) {
    // What goes wrong with a connection often says no more than the name of a host.
    return e.getClass() == IOException.class ? e.getMessage() : e.toString();
  }

  private URI listing(String name, String revision) {
    return settings
        .endpoint()
        .resolve(
            "api/models/%s/revision/%s?blobs=true"
                .formatted(name, URLEncoder.encode(revision, UTF_8)));
  }

  private byte[] ask(URI address) throws IOException {
    HttpURLConnection connection = http().get(address, Map.of("Accept", "application/json"));
    try {
      if (connection.getResponseCode() != HttpURLConnection.HTTP_OK) {
        throw new StatusException(connection.getResponseCode(), address, connection);
      }
      return body(connection);
    } finally {
      connection.disconnect();
    }
  }

  private Http http() {
    return new Http(settings.timeout(), settings.token());
  }

  private static HubListing parse(byte[] said, URI address, String revision) throws IOException {
    Heap.check(address, TREE * (double) said.length);
    try {
      HubListing listing = HubListing.parse(said);
      checkArgument(
          !HubListing.isCommit(revision) || listing.commit().equals(revision),
          "sha must be the commit that was asked for, got %s",
          listing.commit());
      return listing;
    } catch (IllegalArgumentException e) {
      throw new IOException(address + ": not what a hub says: " + e.getMessage(), e);
    }
  }

  private static byte[] body(HttpURLConnection connection) throws IOException {
    long start = System.nanoTime();
    byte[] bytes = new byte[1 << 14];
    try (InputStream in = connection.getInputStream();
        ByteArrayOutputStream out = new ByteArrayOutputStream()) {
      for (int count = in.read(bytes); count >= 0; count = in.read(bytes)) {
        out.write(bytes, 0, count);
        if (out.size() > MAX_LISTING || System.nanoTime() - start > LISTING_LIMIT.toNanos()) {
          throw new IOException(
              "it must say at most " + MAX_LISTING + " bytes in at most " + LISTING_LIMIT);
        }
      }
      return out.toByteArray();
    }
  }

  private Path download(
      HubCache cache, String name, String revision, HubListing listing, HubListener listener)
      throws IOException {
    Listing files = Listing.of(Path.of(name), listing.files().keySet());
    List<String> model = new ArrayList<>(ModelFolder.choose(files));
    String weights = model.get(model.size() - 1);
    HubTransfer transfer = new HubTransfer(settings, http(), cache, name, listing);
    try {
      if (WeightFiles.isIndex(weights)) {
        transfer.receive(List.of(weights), (bytes, total) -> true);
        String folder = weights.substring(0, weights.lastIndexOf('/') + 1);
        for (String part : WeightFiles.listedIn(transfer.path(weights), weights)) {
          if (!files.has(folder + part)) {
            throw new IOException(files.path(folder + part) + ": this file is missing");
          }
          model.add(folder + part);
        }
      }
      transfer.receive(model, listener);
      transfer.show(model);
      cache.setCommit(revision, listing.commit());
      return cache.snapshot(listing.commit());
    } catch (FileSystemException e) {
      throw new IOException("cannot keep downloads in " + cache.folder() + ": " + e, e);
    } catch (IOException e) {
      // A server that only stores files knows nothing of who may have them.
      if (e.getCause() instanceof StatusException status
          && status.isLasting()
          && !status.isFromElsewhere()) {
        throw refused(status, name, revision);
      }
      throw e;
    }
  }

  /** Says what the user can do about it. */
  private IOException refused(StatusException e, String name, String revision) {
    String hub = settings.endpoint().toString();
    String advice =
        switch (e.status()) {
          case HttpURLConnection.HTTP_UNAUTHORIZED ->
              settings.token().isPresent()
                  ? "the hub doesn't take the token in HF_TOKEN; or there is no such model: check the spelling"
                  : "there is no such model for everybody: check the spelling; if it is private, or its owner"
                      + " has conditions, accept those on "
                      + hub
                      + name
                      + " and set the environment variable HF_TOKEN to a token of yours";
          case HttpURLConnection.HTTP_FORBIDDEN ->
              "you may not have it yet: accept the conditions on "
                  + hub
                  + name
                  + (settings.token().isPresent()
                      ? ", as the user of the token in HF_TOKEN, which must be one that may read it"
                      : " and set the environment variable HF_TOKEN to a token of yours");
          case HttpURLConnection.HTTP_NOT_FOUND ->
              "the hub has no such model, or it has no such branch, tag or commit: check the spelling on "
                  + hub
                  + name;
          default -> "the hub refuses it";
        };
    return new IOException(
        "%s at %s: %s (HTTP status %d)".formatted(name, revision, advice, e.status()), e);
  }
}
