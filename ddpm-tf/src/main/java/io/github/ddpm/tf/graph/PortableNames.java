package io.github.ddpm.tf.graph;

import org.tensorflow.ConcreteFunction;
import org.tensorflow.DeviceSpec;
import org.tensorflow.ExecutionEnvironment;
import org.tensorflow.Graph;
import org.tensorflow.Operation;
import org.tensorflow.OperationBuilder;
import org.tensorflow.op.Ops;
import org.tensorflow.op.Scope;

/**
 * A scope whose operations have the same names in every locale. TensorFlow Java counts operations
 * in the digits of the default locale, which TensorFlow refuses unless they are ASCII.
 */
record PortableNames(Scope scope) implements Scope {
  /** Makes the operations of a graph, named so. */
  static Ops ops(Graph graph) {
    return Ops.create(new Environment(graph));
  }

  @Override
  public String makeOpName(String defaultName) {
    return portable(scope.makeOpName(defaultName));
  }

  @Override
  public String makeUnique(String id) {
    return portable(scope.makeUnique(id));
  }

  private static String portable(String name) {
    StringBuilder portable = new StringBuilder(name.length());
    name.codePoints()
        .map(c -> Character.isDigit(c) ? '0' + Character.digit(c, 10) : c)
        .forEach(portable::appendCodePoint);
    return portable.toString();
  }

  @Override
  public ExecutionEnvironment env() {
    return scope.env();
  }

  @Override
  public Scope withSubScope(String childScopeName) {
    return new PortableNames(scope.withSubScope(childScopeName));
  }

  @Override
  public Scope withName(String opName) {
    return new PortableNames(scope.withName(opName));
  }

  @Override
  public Scope withNameAsSubScope(String defaultName) {
    return new PortableNames(scope.withNameAsSubScope(defaultName));
  }

  @Override
  public Scope withDevice(DeviceSpec deviceSpec) {
    return new PortableNames(scope.withDevice(deviceSpec));
  }

  @Override
  public Scope withInitScope() {
    return new PortableNames(scope.withInitScope());
  }

  @Override
  public Scope withControlDependencyOps(Iterable<Operation> controls) {
    return new PortableNames(scope.withControlDependencyOps(controls));
  }

  @Override
  public OperationBuilder apply(OperationBuilder builder) {
    return scope.apply(builder);
  }

  @Override
  public void refreshNames() {
    scope.refreshNames();
  }

  @Override
  public boolean isInit() {
    return scope.isInit();
  }

  @Override
  public String getDeviceString() {
    return scope.getDeviceString();
  }

  /** A graph that names its operations so; all that is built is built on the graph itself. */
  private record Environment(Graph graph) implements ExecutionEnvironment {
    @Override
    public Scope baseScope() {
      return new PortableNames(graph.baseScope());
    }

    @Override
    public OperationBuilder opBuilder(String type, String name, Scope scope) {
      return graph.opBuilder(type, name, scope);
    }

    @Override
    public void attachFunction(ConcreteFunction function) {
      graph.attachFunction(function);
    }

    @Override
    public void checkInput(Operation input) {
      graph.checkInput(input);
    }

    @Override
    public Types environmentType() {
      return graph.environmentType();
    }

    @Override
    public boolean isInitializer(Operation op) {
      return graph.isInitializer(op);
    }
  }
}
