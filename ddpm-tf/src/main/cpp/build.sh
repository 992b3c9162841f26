#!/bin/sh
# build.sh OUT: compiles the kernels to OUT/libddpm.so. Without a C++ compiler nothing is made, and ddpm-tf computes the
# same with TensorFlow's own operations.
set -eu
sources=$(dirname "$0")
out=$1
compiler=${CXX:-c++}
if ! command -v "$compiler" >/dev/null; then
  echo "WARNING: no C++ compiler ($compiler), so the jar is built without its fast kernels" >&2
  exit 0
fi
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
flags="-std=c++17 -O3 -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti -fno-threadsafe-statics
  -fno-math-errno -fno-trapping-math -ffp-contract=fast -Wall -Wextra -Werror"
compile() {
  source=$1
  object=$2
  shift 2
  "$compiler" $flags "$@" -c "$sources/$source" -o "$objects/$object"
}
compile ops.cc ops.o
compile workers.cc workers.o
compile group_norm.cc base.o -DKERNELS=kKernelsBase
case $(uname -m) in
  x86_64)
    compile group_norm.cc avx2.o -DKERNELS=kKernelsAvx2 -mavx2 -mfma
    compile group_norm.cc avx512.o -DKERNELS=kKernelsAvx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma \
      -mprefer-vector-width=512
    ;;
esac
# The functions of TensorFlow are in a library that is loaded already; only its name is needed here.
echo | "$compiler" -shared -fPIC -x c - -Wl,-soname,libtensorflow_framework.so.2 \
  -o "$objects/libtensorflow_framework.so.2"
mkdir -p "$out"
"$compiler" -shared "$objects"/*.o -o "$out/libddpm.so" -nodefaultlibs -Wl,--no-as-needed \
  "$objects/libtensorflow_framework.so.2" -Wl,--as-needed -lpthread -lm -lc -lgcc -s
