#!/bin/sh
# build.sh OUT: compiles the libraries to OUT/linux-x86_64 or OUT/linux-arm64, as JavaCPP names platforms. Where that
# is impossible, for want of a C++ compiler or another system, nothing is made, and ddpm-tf does without.
set -u
sources=$(cd "$(dirname "$0")" && pwd)
compiler=${CXX:-c++}

skip() {
  echo "WARNING: $1, so ddpm-tf is built without its own kernels and will be slower" >&2
  rm -rf "$out"
  exit 0
}

case $(uname -m) in
  x86_64) out=$1/linux-x86_64 ;;
  aarch64) out=$1/linux-arm64 ;;
  *) exit 0 ;;
esac
if [ -f "$out/libddpm.so" ] && [ -z "$(find "$sources" -type f -newer "$out/libddpm.so")" ]; then
  exit 0
fi
command -v "$compiler" >/dev/null || skip "there is no C++ compiler ($compiler)"

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
compile environment environment.cc
for source in ops attention_ops concat_ops conv_ops group_norm_ops plan workers; do
  compile $source $source.cc &
done
compile base kernels.cc -DKERNELS=kKernelsBase &
if [ "$out" = "$1/linux-x86_64" ]; then
  avx512="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512"
  compile avx2 kernels.cc -DKERNELS=kKernelsAvx2 -mavx2 -mfma &
  compile avx512 kernels.cc -DKERNELS=kKernelsAvx512 $avx512 &
  compile avx512bf16 kernels.cc -DKERNELS=kKernelsAvx512Bf16 $avx512 -mavx512bf16 &
fi
wait
[ ! -f "$work/failed" ] || skip "$compiler failed"

link() { # LIBRARY OBJECTS...
  library=$1
  shift
  "$compiler" -shared "$@" -o "$work/$library" -s -nodefaultlibs -Wl,--as-needed \
    -lpthread -lm -lc -lgcc || skip "$compiler can't link"
}
mkdir -p "$out"
link libddpm_environment.so "$work/environment.o"
rm "$work/environment.o"
# The functions of TensorFlow are in a library that will be loaded already; only its name is needed here.
echo | "$compiler" -shared -fPIC -x c - -Wl,-soname,libtensorflow_framework.so.2 \
  -o "$work/libtensorflow_framework.so.2"
link libddpm.so "$work"/*.o -Wl,--no-as-needed "$work/libtensorflow_framework.so.2"
mv "$work/libddpm_environment.so" "$work/libddpm.so" "$out"
