package io.github.ddpm.tf.files;

import java.util.Optional;

/**
 * The operations of Python's pickles, protocols 0 to 5, under the names of its {@code pickletools}.
 * {@link Pickle} does those that tensors need; the others are here to be named.
 */
enum PickleOp {
  MARK('('),
  STOP('.'),
  POP('0'),
  POP_MARK('1'),
  DUP('2'),
  BINBYTES('B'),
  SHORT_BINBYTES('C'),
  FLOAT('F'),
  BINFLOAT('G'),
  INT('I'),
  BININT('J', 4),
  BININT1('K', 1),
  LONG('L'),
  BININT2('M', 2),
  NONE('N'),
  PERSID('P'),
  BINPERSID('Q'),
  REDUCE('R'),
  STRING('S'),
  BINSTRING('T'),
  SHORT_BINSTRING('U'),
  UNICODE('V'),
  BINUNICODE('X', 4),
  APPEND('a'),
  BUILD('b'),
  GLOBAL('c'),
  DICT('d'),
  APPENDS('e'),
  GET('g'),
  BINGET('h', 1),
  INST('i'),
  LONG_BINGET('j', 4),
  LIST('l'),
  OBJ('o'),
  PUT('p'),
  BINPUT('q', 1),
  LONG_BINPUT('r', 4),
  SETITEM('s'),
  TUPLE('t'),
  SETITEMS('u'),
  EMPTY_TUPLE(')'),
  EMPTY_LIST(']'),
  EMPTY_DICT('}'),
  PROTO(0x80),
  NEWOBJ(0x81),
  EXT1(0x82),
  EXT2(0x83),
  EXT4(0x84),
  TUPLE1(0x85),
  TUPLE2(0x86),
  TUPLE3(0x87),
  NEWTRUE(0x88),
  NEWFALSE(0x89),
  LONG1(0x8a, 1),
  LONG4(0x8b),
  SHORT_BINUNICODE(0x8c, 1),
  BINUNICODE8(0x8d),
  BINBYTES8(0x8e),
  EMPTY_SET(0x8f),
  ADDITEMS(0x90),
  FROZENSET(0x91),
  NEWOBJ_EX(0x92),
  STACK_GLOBAL(0x93),
  MEMOIZE(0x94),
  FRAME(0x95, 8),
  BYTEARRAY8(0x96),
  NEXT_BUFFER(0x97),
  READONLY_BUFFER(0x98);

  private static final PickleOp[] BY_CODE = new PickleOp[1 << Byte.SIZE];

  static {
    for (PickleOp op : values()) {
      BY_CODE[op.code] = op;
    }
  }

  private final int code;
  private final int argumentBytes;

  PickleOp(int code) {
    this(code, 0);
  }

  PickleOp(int code, int argumentBytes) {
    this.code = code;
    this.argumentBytes = argumentBytes;
  }

  /** Returns the operation of a byte. */
  static Optional<PickleOp> of(byte code) {
    return Optional.ofNullable(BY_CODE[Byte.toUnsignedInt(code)]);
  }

  /** Returns how many bytes always follow, for the operations that are done. */
  int argumentBytes() {
    return argumentBytes;
  }
}
