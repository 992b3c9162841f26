#!/bin/sh
# Runs a main of the examples with Spark: on-spark.sh GenerateImages --spark 'local-cluster[2,1,1024]' …
# A local-cluster starts real executors, processes of their own on this machine, for trying.
set -eu
root=$(cd "$(dirname "$0")/../../../.." && pwd)
main=$1
shift
home="$root/target/spark-home"
mkdir -p "$home/jars"
: > "$home/RELEASE"
(cd "$root" && mvn -q -B -ntp compile dependency:build-classpath -DincludeScope=test \
  -Dmdep.outputFile="$root/target/spark.classpath" -pl ddpm-api,ddpm-native,ddpm-tf,ddpm-spark,examples,examples-spark >&2)
opens=
for package in java.lang java.lang.invoke java.lang.reflect java.io java.net java.nio java.util java.util.concurrent \
  java.util.concurrent.atomic jdk.internal.ref sun.nio.ch sun.nio.cs sun.security.action sun.util.calendar; do
  opens="$opens --add-opens=java.base/$package=ALL-UNNAMED"
done
SPARK_HOME=$home SPARK_SCALA_VERSION=2.13 SPARK_LOCAL_IP=127.0.0.1
export SPARK_HOME SPARK_SCALA_VERSION SPARK_LOCAL_IP
# shellcheck disable=SC2086
exec java $opens -cp "$root/examples-spark/target/classes:$(cat "$root/target/spark.classpath")" \
  "io.github.ddpm.examples.$main" "$@"
