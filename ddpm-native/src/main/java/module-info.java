/** Has TensorFlow's native library among its dependencies, and no code. */
module io.github.ddpm.nativelib {}
