#!/bin/sh
# build.sh OUT [PLATFORM...]: compiles the libraries to OUT/linux-x86_64 or OUT/linux-arm64, as JavaCPP names platforms: for
# this machine, or for each PLATFORM, by a cross compiler of its usual name where it is not this one's (CXX names another).
# On other processors nothing is made. Without a C++ compiler (CXX, else c++) nothing is made either, and ddpm-tf does
# without; instructions that the compiler doesn't know are left out. Both are said on stderr. What doesn't compile or link
# is an error. With a PLATFORM, which is how releases are built, so is all that is left out, and a library that asks for
# a newer C library than TensorFlow's does.
set -u
sources=$(cd "$(dirname "$0")" && pwd)
if [ $# -gt 2 ]; then
  out=$1
  shift
  for platform; do
    sh "$0" "$out" "$platform" || exit
  done
  exit
fi
newest_glibc=2.34 # that of TensorFlow Java 1.1.0's libjnitensorflow.so
case $(uname -m) in
  x86_64) here=linux-x86_64 ;;
  aarch64) here=linux-arm64 ;;
  *) here= ;;
esac
platform=${2:-$here}
case $platform in
  "$here") compiler=${CXX:-c++} ;;
  linux-x86_64) compiler=${CXX:-x86_64-linux-gnu-g++} ;;
  linux-arm64) compiler=${CXX:-aarch64-linux-gnu-g++} ;;
  *)
    echo "ERROR: there are no kernels for $platform: linux-x86_64 and linux-arm64 have some" >&2
    exit 1
    ;;
esac
release=${2:+yes}
warn() {
  if [ -n "$release" ]; then
    echo "ERROR: $1; a release has all kernels" >&2
    exit 1
  fi
  echo "WARNING: $1" >&2
}
fail() {
  echo "ERROR: $1; CXX names another compiler, or none to build ddpm-tf without its own kernels" >&2
  exit 1
}

[ -n "$platform" ] || exit 0
out=$1/$platform
if [ -z "$release" ] && [ -f "$out/libddpm.so" ] && [ -z "$(find "$sources" -type f -newer "$out/libddpm.so")" ]; then
  exit 0
fi
rm -rf "$out"
if ! command -v "$compiler" >/dev/null; then
  warn "there is no C++ compiler ($compiler), so ddpm-tf is built without its own kernels and will be slower"
  exit 0
fi

work=$(mktemp -d)
# Compilers that are still at it write there.
trap 'wait; rm -rf "$work"' EXIT
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
if [ "$platform" = linux-x86_64 ]; then
  avx512="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512"
  variant DDPM_AVX2 kKernelsAvx2 -mavx2 -mfma
  variant DDPM_AVX512 kKernelsAvx512 $avx512
  variant DDPM_AVX512BF16 kKernelsAvx512Bf16 $avx512 -mavx512bf16
fi
for source in environment ops attention_ops concat_ops conv_ops group_norm_ops plan weight_ops workers; do
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
if [ -n "$release" ]; then
  for library in libddpm_environment.so libddpm.so; do
    glibc=$(readelf -V "$work/$library" | grep -o 'GLIBC_[0-9.]*' | cut -d_ -f2 | sort -uV | tail -1)
    if [ "$(printf '%s\n' "$glibc" $newest_glibc | sort -V | tail -1)" != $newest_glibc ]; then
      echo "ERROR: $library of $platform asks for glibc $glibc, and TensorFlow for $newest_glibc alone" >&2
      exit 1
    fi
  done
fi
mkdir -p "$out"
mv "$work/libddpm_environment.so" "$work/libddpm.so" "$out"
