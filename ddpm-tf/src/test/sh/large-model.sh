#!/bin/sh
# Peak memory of loading and calling a model of 114 million weights (455 MB), beside that of a tiny one, on Linux.
# At the root:
#     sh ddpm-tf/src/test/sh/large-model.sh [FOLDER]
# FOLDER is made if it isn't there; by default it is target/large-model.
set -e
cd "$(dirname "$0")/../../.."
large=${1:-target/large-model}
if [ ! -f target/test-class-path ]; then
  (cd .. && mvn -q test-compile dependency:build-classpath -pl ddpm-api,ddpm-native,ddpm-tf \
    -Dmdep.outputFile=target/test-class-path -Dmdep.includeScope=test)
fi
run() {
  heap=$1
  shift
  java "$heap" -Dorg.bytedeco.javacpp.maxPhysicalBytes=0 \
    -cp "target/test-classes:target/classes:../ddpm-api/target/classes:$(cat target/test-class-path)" \
    io.github.ddpm.tf.LargeModel "$@" 2>/dev/null
}
[ -f "$large/model_index.json" ] || run -Xmx3g make "$large"
for heap in -Xmx2g -Xmx256m; do
  echo "$heap, tiny:  $(run "$heap" load target/test-classes/golden/unet-padding0)"
  echo "$heap, large: $(run "$heap" load "$large")"
done
