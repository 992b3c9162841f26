/** Needs ddpm-tf by name, and nothing else. */
module com.example {
  requires io.github.ddpm.tf;
}
