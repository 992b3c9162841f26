#!/bin/sh
# build.sh OUT: compiles the libraries to OUT/linux-x86_64 or OUT/linux-arm64, as JavaCPP names platforms; on other
# processors nothing. Without a C++ compiler (CXX, else c++) nothing is made either, and ddpm-tf does without;
# instructions that the compiler doesn't know are left out. Both are said on stderr. What doesn't compile or link is an
# error.
set -u
sources=$(cd "$(dirname "$0")" && pwd)
compiler=${CXX:-c++}

warn() {
  echo "WARNING: $1" >&2
}
fail() {
  echo "ERROR: $1; CXX names another compiler, or none to build ddpm-tf without its own kernels" >&2
  exit 1
}

case $(uname -m) in
  x86_64) out=$1/linux-x86_64 ;;
  aarch64) out=$1/linux-arm64 ;;
  *) exit 0 ;;
esac
if [ -f "$out/libddpm.so" ] && [ -z "$(find "$sources" -type f -newer "$out/libddpm.so")" ]; then
  exit 0
fi
rm -rf "$out"
if ! command -v "$compiler" >/dev/null; then
  warn "there is no C++ compiler ($compiler), so ddpm-tf is built without its own kernels and will be slower"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing of the C++ runtime is needed, so that a library for one Linux is one for all with its C library or newer.
flags="-std=c++17 -O3 -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti -fno-math-errno -fno-trapping-math
  -ffp-contract=fast -Wall -Wextra"
compile() { # OBJECT SOURCE FLAGS...
  object=$1
  source=$2
  shift 2
  "$compiler" $flags "$@" -c "$sources/$source" -o "$work/$object.o" || touch "$work/failed"
}
variants=
variant() { # DEFINITION TABLE FLAGS...: the kernels for more instructions, if the compiler knows them
  definition=$1
  table=$2
  shift 2
  if "$compiler" "$@" -x c++ -fsyntax-only /dev/null 2>/dev/null; then
    compile "$table" kernels.cc "-DKERNELS=$table" "$@" &
    variants="$variants -D$definition"
  else
    warn "$compiler doesn't know $*, so ddpm-tf is built without kernels for these instructions"
  fi
}
compile kKernelsBase kernels.cc -DKERNELS=kKernelsBase &
if [ "$out" = "$1/linux-x86_64" ]; then
  avx512="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512"
  variant DDPM_AVX2 kKernelsAvx2 -mavx2 -mfma
  variant DDPM_AVX512 kKernelsAvx512 $avx512
  variant DDPM_AVX512BF16 kKernelsAvx512Bf16 $avx512 -mavx512bf16
fi
for source in environment ops attention_ops concat_ops conv_ops group_norm_ops plan workers; do
  compile $source $source.cc $variants &
done
wait
[ ! -f "$work/failed" ] || fail "$compiler can't compile ddpm-tf's kernels"

link() { # LIBRARY OBJECTS...
  library=$1
  shift
  "$compiler" -shared "$@" -o "$work/$library" -s -nodefaultlibs -Wl,--as-needed \
    -lpthread -lm -lc -lgcc || fail "$compiler can't link ddpm-tf's kernels"
}
link libddpm_environment.so "$work/environment.o"
rm "$work/environment.o"
# The functions of TensorFlow are in a library that will be loaded already; only its name is needed here.
echo | "$compiler" -shared -fPIC -x c - -Wl,-soname,libtensorflow_framework.so.2 \
  -o "$work/libtensorflow_framework.so.2" || fail "$compiler can't link a shared library"
link libddpm.so "$work"/*.o -Wl,--no-as-needed "$work/libtensorflow_framework.so.2"
mkdir -p "$out"
mv "$work/libddpm_environment.so" "$work/libddpm.so" "$out"
