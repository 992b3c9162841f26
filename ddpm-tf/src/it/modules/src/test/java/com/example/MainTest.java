package com.example;

import org.junit.jupiter.api.Test;

/**
 * The same as tests of a module are run: Maven leaves on the class path what no module requires by
 * name, TensorFlow's native library too.
 */
class MainTest {
  @Test
  void itDrawsAndTrains() throws Exception {
    Main.main(new String[0]);
  }
}
