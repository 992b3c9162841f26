#!/bin/sh
# arm64.sh JDK [CLASS...]: the tests of our operations on Linux arm64, in an emulator on Linux x86-64. JDK is the folder of
# a JDK for Linux arm64; its C library is that of Debian's g++-aarch64-linux-gnu, or JDK/sysroot if there is one. A test
# takes a minute here for each second there.
set -eu
jdk=$(cd "$1" && pwd)
shift
root=$(cd "$(dirname "$0")/../../../.." && pwd)
sysroot=/usr/aarch64-linux-gnu
[ ! -d "$jdk/sysroot" ] || sysroot=$jdk/sysroot
[ $# -gt 0 ] || set -- LibraryFileTest GroupNormTest AttentionTest ConvolutionTest SchedulerOpsTest
cd "$root"
# Property and goal: the native library of arm64 on the class path, without a compiler's run for this machine's.
mvn -q -B -ntp -pl .,ddpm-api,ddpm-native,ddpm-tf -Dddpm.native=linux-arm64 test-compile dependency:build-classpath \
  -Dmdep.outputFile=target/arm64.txt -Dmdep.includeScope=test
sh ddpm-tf/src/main/cpp/build.sh ddpm-tf/target/classes/io/github/ddpm/tf linux-arm64
mvn -q -B -ntp dependency:copy -Dartifact=org.junit.platform:junit-platform-console-standalone:1.14.4 \
  -DoutputDirectory="$root/ddpm-tf/target" -Dmdep.stripVersion=true
cd ddpm-tf
for class; do
  echo "$class"
  qemu-aarch64-static -L "$sysroot" "$jdk/bin/java" -Xmx1g -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
    -Dorg.bytedeco.javacpp.maxPhysicalBytes=0 \
    -cp "target/junit-platform-console-standalone.jar:target/test-classes:target/classes:$(cat target/arm64.txt)" \
    org.junit.platform.console.ConsoleLauncher execute --disable-banner --details=summary \
    --select-class "io.github.ddpm.tf.graph.$class"
done
