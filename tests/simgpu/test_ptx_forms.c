// Single PTX instructions, written by hand, against values from the PTX manual's definitions. A row's text works on
// registers that hold the inputs a, b and c in every width: %r1..3, %d1..3 (64 bits), %f1..3, %e1..3 (f64), %h1..3
// (16 bits), %p1..3 (lowest bit); its result is in %r0, %d0, %f0, %e0, %h0 or %p0, as `result` says.
#include "runtime/base/text.h"
#include "tests/simgpu/sim_case.h"

typedef struct Row {
  char result;
  const char *text;
  uint64_t a, b, c, want;
} Row;

#define F(x) ((uint64_t)float_bits(x))
#define D(x) double_bits(x)
enum { NAN32 = 0x7fffffff, ONES = -1 };

static uint32_t float_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}
static uint64_t double_bits(double x) {
  uint64_t bits;
  memcpy(&bits, &x, 8);
  return bits;
}

static const char *const load_inputs =
    ".visible .entry k%d(.param .u64 pa,.param .u64 pb,.param .u64 pc,.param .u64 out){\n"
    ".reg .b32 %%r<8>;.reg .b64 %%d<8>;.reg .f32 %%f<8>;.reg .f64 %%e<8>;"
    ".reg .b16 %%h<8>;.reg .pred %%p<8>;.reg .b64 %%o;\n"
    "ld.param.u64 %%d1,[pa];ld.param.u64 %%d2,[pb];ld.param.u64 %%d3,[pc];"
    "ld.param.u64 %%o,[out];mov.b64 %%d0,0;mov.b32 %%r0,0;mov.b32 %%r4,0;mov.b32 %%r5,0;\n";

static void put_row(Text *text, int k, const Row *row) {
  text_printf(text, load_inputs, k);
  for (int n = 1; n <= 3; n++)
    text_printf(text,
                "cvt.u32.u64 %%r%d,%%d%d;mov.b32 %%f%d,%%r%d;mov.b64 %%e%d,%%d%d;cvt.u16.u64 %%h%d,%%d%d;"
                "and.b32 %%r6,%%r%d,1;setp.ne.u32 %%p%d,%%r6,0;\n",
                n, n, n, n, n, n, n, n, n, n);
  text_printf(text, "%s\n", row->text);
  switch (row->result) {
  case 'r': text_put(text, "cvt.u64.u32 %d0,%r0;"); break;
  case 'f': text_put(text, "mov.b32 %r0,%f0;cvt.u64.u32 %d0,%r0;"); break;
  case 'e': text_put(text, "mov.b64 %d0,%e0;"); break;
  case 'h': text_put(text, "cvt.u64.u16 %d0,%h0;"); break;
  case 'p': text_put(text, "selp.u64 %d0,1,0,%p0;"); break;
  }
  text_put(text, "st.global.u64 [%o],%d0;ret;}\n");
}

static void check_rows(const char *title, const Row *rows, int n) {
  Text text = {0};
  text_put(&text, ".version 8.7\n.target sm_100\n.address_size 64\n");
  for (int k = 0; k < n; k++) put_row(&text, k, &rows[k]);
  SimModule *module = load(text_get(&text));
  uint64_t out = buffer(NULL, 8), got = 0;
  for (int k = 0; module && k < n; k++) {
    char name[16];
    snprintf(name, sizeof name, "k%d", k);
    RUN(module, name, 1, 1, 0, rows[k].a, rows[k].b, rows[k].c, out);
    fetch(out, &got, sizeof got);
    CHECK(got == rows[k].want, "%s: %s of 0x%llx, 0x%llx, 0x%llx gives 0x%llx, not 0x%llx", title, rows[k].text,
          (unsigned long long)rows[k].a, (unsigned long long)rows[k].b, (unsigned long long)rows[k].c,
          (unsigned long long)got, (unsigned long long)rows[k].want);
  }
  sim_memory_free(out);
  sim_module_unload(module);
  text_free(&text);
}
#define CHECK_ROWS(title, rows) check_rows(title, rows, (int)(sizeof rows / sizeof *rows))

static void check_integers(void) {
  const Row rows[] = {
      {'r', "add.s32 %r0,%r1,%r2;", 7, 0xfffffffe, 0, 5},
      {'r', "add.sat.s32 %r0,%r1,%r2;", 0x7fffffff, 1, 0, 0x7fffffff},
      {'r', "sub.sat.s32 %r0,%r1,%r2;", 0x80000000, 1, 0, 0x80000000},
      {'d', "add.u64 %d0,%d1,%d2;", ~0ull, 3, 0, 2},
      {'h', "add.u16 %h0,%h1,%h2;", 0xffff, 3, 0, 2},
      {'r', "add.u16x2 %r0,%r1,%r2;", 0x0001ffff, 0x00010001, 0, 0x00020000},
      {'r', "sub.u32 %r0,%r1,-5;", 7, 0, 0, 12},
      {'d', "add.cc.u32 %r0,%r1,%r2;addc.u32 %r4,%r3,0;mov.b64 %d0,{%r0,%r4};", 0xffffffff, 2, 7, 0x800000001},
      {'d', "add.cc.u32 %r0,%r1,%r2;addc.cc.u32 %r4,%r1,%r2;addc.u32 %r4,%r4,0;mov.b64 %d0,{%r0,%r4};", 0xffffffff,
       0xffffffff, 0, 0x00000000fffffffe},
      {'d', "sub.cc.u32 %r0,%r1,%r2;subc.u32 %r4,%r3,0;mov.b64 %d0,{%r0,%r4};", 1, 2, 7, 0x6ffffffff},
      {'d', "add.cc.u64 %d0,%d1,%d2;addc.u64 %d0,%d3,0;", ~0ull, 1, 4, 5},
      {'d', "mad.lo.cc.u32 %r0,%r1,%r2,%r3;madc.hi.u32 %r4,%r1,%r2,0;mov.b64 %d0,{%r0,%r4};", 0xffffffff, 0xffffffff,
       0xffffffff, 0xffffffff00000000},
      {'r', "mul.lo.s32 %r0,%r1,%r2;", 0xffffffff, 5, 0, 0xfffffffb},
      {'r', "mul.hi.s32 %r0,%r1,%r2;", 0x80000000, 4, 0, 0xfffffffe},
      {'r', "mul.hi.u32 %r0,%r1,%r2;", 0x80000000, 4, 0, 2},
      {'d', "mul.wide.s32 %d0,%r1,%r2;", 0xffffffff, 5, 0, 0xfffffffffffffffb},
      {'d', "mul.wide.u32 %d0,%r1,%r2;", 0xffffffff, 5, 0, 0x4fffffffb},
      {'r', "mul.wide.s16 %r0,%h1,%h2;", 0xffff, 5, 0, 0xfffffffb},
      {'h', "mul.hi.u16 %h0,%h1,%h2;", 0x8000, 6, 0, 3},
      {'h', "mul.lo.s16 %h0,%h1,%h2;", 0xffff, 6, 0, 0xfffa},
      {'d', "mul.hi.u64 %d0,%d1,%d2;", ~0ull, ~0ull, 0, 0xfffffffffffffffe},
      {'d', "mul.hi.s64 %d0,%d1,%d2;", ~0ull, 1, 0, ~0ull},
      {'r', "mad.lo.s32 %r0,%r1,%r2,%r3;", 3, 4, 5, 17},
      {'r', "mad.hi.sat.s32 %r0,%r1,%r2,%r3;", 0x40000000, 8, 0x7fffffff, 0x7fffffff},
      {'d', "mad.wide.u32 %d0,%r1,%r2,%d3;", 0xffffffff, 2, 3, 0x200000001},
      {'d', "mad.wide.s32 %d0,%r1,%r2,%d3;", 0xffffffff, 2, 3, 1},
      {'r', "mul24.lo.u32 %r0,%r1,%r2;", 0xff000003, 5, 0, 15},
      {'r', "mul24.hi.s32 %r0,%r1,%r2;", 0x00ffffff, 1 << 20, 0, 0xfffffff0},
      {'r', "mad24.lo.s32 %r0,%r1,%r2,%r3;", 0x00ffffff, 2, 10, 8},
      {'r', "div.s32 %r0,%r1,%r2;", 0xfffffff9, 2, 0, 0xfffffffd},
      {'r', "div.u32 %r0,%r1,%r2;", 0xfffffff9, 2, 0, 0x7ffffffc},
      {'r', "div.u32 %r0,%r1,%r2;", 5, 0, 0, 0xffffffff},
      {'r', "div.s32 %r0,%r1,%r2;", 0x80000000, 0xffffffff, 0, 0x80000000},
      {'r', "rem.s32 %r0,%r1,%r2;", 0xfffffff9, 4, 0, 0xfffffffd},
      {'d', "rem.u64 %d0,%d1,%d2;", 1000000000007, 10, 0, 7},
      {'d', "div.s64 %d0,%d1,%d2;", (uint64_t)-9, 2, 0, (uint64_t)-4},
      {'h', "div.s16 %h0,%h1,%h2;", 0xfff9, 2, 0, 0xfffd},
      {'h', "rem.u16 %h0,%h1,%h2;", 0xfff9, 10, 0, 9},
      {'r', "abs.s32 %r0,%r1;", 0xfffffff9, 0, 0, 7},
      {'d', "abs.s64 %d0,%d1;", (uint64_t)-9, 0, 0, 9},
      {'r', "neg.s32 %r0,%r1;", 7, 0, 0, 0xfffffff9},
      {'h', "neg.s16 %h0,%h1;", 7, 0, 0, 0xfff9},
      {'r', "min.s32 %r0,%r1,%r2;", 0xffffffff, 3, 0, 0xffffffff},
      {'r', "min.u32 %r0,%r1,%r2;", 0xffffffff, 3, 0, 3},
      {'d', "max.s64 %d0,%d1,%d2;", ~0ull, 3, 0, 3},
      {'h', "max.u16 %h0,%h1,%h2;", 0xffff, 3, 0, 0xffff},
      {'r', "max.relu.s32 %r0,%r1,%r2;", 0xffffffff, 0xfffffff0, 0, 0},
      {'r', "min.s16x2 %r0,%r1,%r2;", 0x0005ffff, 0xfff00003, 0, 0xfff0ffff},
      {'r', "max.u16x2 %r0,%r1,%r2;", 0x0005ffff, 0xfff00003, 0, 0xfff0ffff},
      {'r', "sad.s32 %r0,%r1,%r2,%r3;", 0xfffffffe, 3, 10, 15},
      {'r', "and.b32 %r0,%r1,%r2;", 0xff0, 0x0ff, 0, 0xf0},
      {'d', "or.b64 %d0,%d1,%d2;", 1ull << 63, 1, 0, (1ull << 63) | 1},
      {'h', "xor.b16 %h0,%h1,%h2;", 0xff, 0xf0, 0, 0xf},
      {'p', "and.pred %p0,%p1,!%p2;", 1, 0, 0, 1},
      {'p', "xor.pred %p0,%p1,%p2;", 1, 1, 0, 0},
      {'p', "not.pred %p0,%p1;", 1, 0, 0, 0},
      {'r', "not.b32 %r0,%r1;", 1, 0, 0, 0xfffffffe},
      {'r', "cnot.b32 %r0,%r1;", 0, 0, 0, 1},
      {'r', "shl.b32 %r0,%r1,%r2;", 3, 32, 0, 0},
      {'r', "shl.b32 %r0,%r1,4;", 3, 0, 0, 48},
      {'d', "shr.s64 %d0,%d1,%r2;", 1ull << 63, 100, 0, ~0ull},
      {'r', "shr.u32 %r0,%r1,%r2;", 0x80000000, 31, 0, 1},
      {'r', "shr.s32 %r0,%r1,%r2;", 0x80000000, 31, 0, 0xffffffff},
      {'h', "shr.s16 %h0,%h1,%r2;", 0x8000, 3, 0, 0xf000},
      {'h', "shl.b16 %h0,%h1,%r2;", 0x8001, 1, 0, 2},
      {'r', "shf.l.wrap.b32 %r0,%r1,%r2,%r3;", 0x80000000, 1, 33, 3},
      {'r', "shf.l.clamp.b32 %r0,%r1,%r2,%r3;", 0x80000000, 1, 33, 0x80000000},
      {'r', "shf.r.wrap.b32 %r0,%r1,%r2,%r3;", 2, 1, 1, 0x80000001},
      {'r', "shf.r.clamp.b32 %r0,%r1,%r2,%r3;", 2, 5, 40, 5},
      {'r', "bfe.u32 %r0,%r1,%r2,%r3;", 0xabcd1234, 8, 8, 0x12},
      {'r', "bfe.s32 %r0,%r1,%r2,%r3;", 0x00008000, 12, 4, 0xfffffff8},
      {'r', "bfe.s32 %r0,%r1,%r2,%r3;", 0x80000000, 28, 20, 0xfffffff8},
      {'r', "bfe.u32 %r0,%r1,%r2,%r3;", 0xffffffff, 40, 4, 0},
      {'d', "bfe.u64 %d0,%d1,%r2,%r3;", 0xabcd123400000000, 40, 8, 0x12},
      {'d', "bfe.s64 %d0,%d1,%r2,%r3;", 0x8000, 12, 4, (uint64_t)-8},
      {'r', "bfi.b32 %r0,%r1,%r2,%r3,8;", 0x12, 0xffffffff, 8, 0xffff12ff},
      {'d', "bfi.b64 %d0,%d1,%d2,32,32;", 0x12, 0x34, 0, 0x1200000034},
      {'r', "bfind.u32 %r0,%r1;", 0x00010000, 0, 0, 16},
      {'r', "bfind.s32 %r0,%r1;", 0xfffffffe, 0, 0, 0},
      {'r', "bfind.shiftamt.u32 %r0,%r1;", 0x00010000, 0, 0, 15},
      {'r', "bfind.u64 %r0,%d1;", 1ull << 40, 0, 0, 40},
      {'r', "fns.b32 %r0,%r1,%r2,%r3;", 0xf0, 0, 2, 5},
      {'r', "popc.b32 %r0,%r1;", 0xf0f0, 0, 0, 8},
      {'r', "popc.b64 %r0,%d1;", ~0ull, 0, 0, 64},
      {'r', "clz.b32 %r0,%r1;", 1, 0, 0, 31},
      {'r', "clz.b64 %r0,%d1;", 0, 0, 0, 64},
      {'r', "brev.b32 %r0,%r1;", 1, 0, 0, 0x80000000},
      {'d', "brev.b64 %d0,%d1;", 2, 0, 0, 1ull << 62},
      {'r', "prmt.b32 %r0,%r1,%r2,%r3;", 0x33221100, 0x77665544, 0x7520, 0x77552200},
      {'r', "prmt.b32 %r0,%r1,%r2,0x9810;", 0x00008081, 0, 0, 0xffff8081},
      {'r', "prmt.b32.f4e %r0,%r1,%r2,%r3;", 0x33221100, 0x77665544, 1, 0x44332211},
      {'r', "prmt.b32.rc16 %r0,%r1,%r2,%r3;", 0x33221100, 0, 1, 0x33223322},
      {'r', "lop3.b32 %r0,%r1,%r2,%r3,0x96;", 0xf0f0, 0xff00, 0xaaaa, 0xf0f0 ^ 0xff00 ^ 0xaaaa},
      {'r', "lop3.b32 %r0,%r1,%r2,%r3,0xe8;", 0xf0f0, 0xff00, 0xaaaa, 0xfaa0},
      {'r', "dp4a.s32.s32 %r0,%r1,%r2,%r3;", 0xff02fe01, 0x01020304, 10, 10 + 4 - 6 + 4 - 1},
      {'r', "dp4a.u32.u32 %r0,%r1,%r2,%r3;", 0xff020301, 0x01020304, 10, 10 + 4 + 9 + 4 + 255},
      {'r', "dp4a.u32.s32 %r0,%r1,%r2,%r3;", 0x000000ff, 0x000000ff, 0, (uint32_t)-255},
      {'r', "dp2a.lo.s32.s32 %r0,%r1,%r2,%r3;", 0xffff0002, 0x01020304, 1, 1 + 8 - 3},
      {'r', "dp2a.hi.u32.u32 %r0,%r1,%r2,%r3;", 0x00030002, 0x01020304, 1, 1 + 4 + 3},
      {'r', "vabsdiff4.u32.u32.u32 %r0,%r1,%r2,%r3;", 0x10ff0305, 0x20010503, 0, 0x10fe0202},
      {'r', "vabsdiff4.s32.s32.s32.add %r0,%r1,%r2,%r3;", 0x10ff0305, 0x20010503, 100, 100 + 16 + 2 + 2 + 2},
      {'r', "bmsk.clamp.b32 %r0,%r1,%r2;", 4, 8, 0, 0xff0},
      {'r', "bmsk.wrap.b32 %r0,%r1,%r2;", 36, 40, 0, 0xff0},
      {'r', "szext.clamp.s32 %r0,%r1,%r2;", 0x1f8, 4, 0, 0xfffffff8},
      {'r', "szext.wrap.u32 %r0,%r1,%r2;", 0x1f8, 36, 0, 8},
      {'r', "slct.u32.s32 %r0,%r1,%r2,%r3;", 1, 2, 0xffffffff, 2},
      {'f', "slct.f32.f32 %f0,%f1,%f2,%f3;", F(1.5f), F(2.5f), F(0.0f), F(1.5f)},
      {'r', "selp.b32 %r0,%r1,%r2,%p3;", 1, 2, 1, 1},
      {'d', "selp.b64 %d0,%d1,%d2,!%p3;", 1, 2, 1, 2},
      {'h', "selp.b16 %h0,%h1,%h2,%p3;", 1, 2, 0, 2},
      {'r', "mov.b64 {%r0,%r4},%d1;sub.u32 %r0,%r4,%r0;", 0x0000000900000004, 0, 0, 5},
      {'r', "mov.b32 {%h0,%h4},%r1;mov.b32 %r0,{%h4,%h0};", 0x12345678, 0, 0, 0x56781234},
      {'d', "mov.b64 {%h0,%h4,%h5,%h6},%d1;mov.b64 %d0,{%h6,%h5,%h4,%h0};", 0x1111222233334444, 0, 0,
       0x4444333322221111},
      {'r', "mov.u32 %r0,%ntid.x;", 0, 0, 0, 1},
      {'r', "mov.u32 %r0,%lanemask_ge;", 0, 0, 0, 0xffffffff},
      {'r', "mov.u32 %r0,WARP_SZ;", 0, 0, 0, 32},
  };
  CHECK_ROWS("integers", rows);
}

static void check_comparisons(void) {
  const Row rows[] = {
      {'p', "setp.lt.s32 %p0,%r1,%r2;", 0xffffffff, 1, 0, 1},
      {'p', "setp.lt.u32 %p0,%r1,%r2;", 0xffffffff, 1, 0, 0},
      {'p', "setp.hs.u32 %p0,%r1,%r2;", 0xffffffff, 1, 0, 1},
      {'p', "setp.lo.u64 %p0,%d1,%d2;", 1, ~0ull, 0, 1},
      {'p', "setp.ge.s16 %p0,%h1,%h2;", 0xffff, 0, 0, 0},
      {'p', "setp.gt.u16 %p0,%h1,%h2;", 0xffff, 0, 0, 1},
      {'p', "setp.eq.b32 %p0,%r1,%r2;", 5, 5, 0, 1},
      {'p', "setp.ne.and.s32 %p0,%r1,%r2,%p3;", 5, 6, 0, 0},
      {'p', "setp.ne.or.s32 %p0,%r1,%r2,!%p3;", 5, 5, 0, 1},
      {'p', "setp.eq.s32 %p4|%p0,%r1,%r2;", 5, 6, 0, 1},
      {'p', "setp.lt.f32 %p0,%f1,%f2;", F(1), F(2), 0, 1},
      {'p', "setp.lt.f32 %p0,%f1,%f2;", NAN32, F(2), 0, 0},
      {'p', "setp.ltu.f32 %p0,%f1,%f2;", NAN32, F(2), 0, 1},
      {'p', "setp.ne.f32 %p0,%f1,%f2;", NAN32, F(2), 0, 0},
      {'p', "setp.neu.f32 %p0,%f1,%f2;", NAN32, F(2), 0, 1},
      {'p', "setp.num.f32 %p0,%f1,%f2;", F(1), F(2), 0, 1},
      {'p', "setp.nan.f32 %p0,%f1,%f2;", NAN32, F(2), 0, 1},
      {'p', "setp.nan.f64 %p0,%e1,%e2;", D(1), D(2), 0, 0},
      {'p', "setp.gt.ftz.f32 %p0,%f1,0f00000000;", 1, 0, 0, 0},
      {'p', "setp.gt.f32 %p0,%f1,0f00000000;", 1, 0, 0, 1},
      {'p', "setp.ge.f16 %p0,%h1,%h2;", 0x3c00, 0x3c00, 0, 1},
      {'p', "setp.lt.bf16 %p0,%h1,%h2;", 0x3f80, 0x4000, 0, 1},
      {'p', "setp.lt.f16x2 %p4|%p0,%r1,%r2;", 0x3c004000, 0x40003c00, 0, 1},
      {'p', "setp.lt.f16x2 %p0|%p4,%r1,%r2;", 0x3c004000, 0x40003c00, 0, 0},
      {'r', "set.lt.u32.f32 %r0,%f1,%f2;", F(1), F(2), 0, 0xffffffff},
      {'f', "set.lt.f32.s32 %f0,%r1,%r2;", 1, 2, 0, F(1)},
      {'r', "set.eq.f16x2.f16x2 %r0,%r1,%r2;", 0x3c004000, 0x3c003c00, 0, 0x3c000000},
      {'r', "set.eq.u32.f16x2 %r0,%r1,%r2;", 0x3c004000, 0x3c003c00, 0, 0xffff0000},
      {'h', "set.gt.bf16.bf16 %h0,%h1,%h2;", 0x4000, 0x3f80, 0, 0x3f80},
      {'p', "testp.finite.f32 %p0,%f1;", 0x7f800000, 0, 0, 0},
      {'p', "testp.infinite.f32 %p0,%f1;", 0x7f800000, 0, 0, 1},
      {'p', "testp.notanumber.f64 %p0,%e1;", 0x7ff8000000000000, 0, 0, 1},
      {'p', "testp.number.f32 %p0,%f1;", F(1), 0, 0, 1},
      {'p', "testp.subnormal.f32 %p0,%f1;", 1, 0, 0, 1},
      {'p', "testp.normal.f32 %p0,%f1;", F(1), 0, 0, 1},
  };
  CHECK_ROWS("comparisons", rows);
}

static void check_floats(void) {
  const float third = 1.0f / 3, tiny = 0x1p-140f;
  const Row rows[] = {
      {'f', "add.f32 %f0,%f1,%f2;", F(1.5f), F(2), 0, F(3.5f)},
      {'f', "add.rz.f32 %f0,%f1,%f2;", F(1), F(0x1.8p-24f), 0, F(1)},
      {'f', "add.rn.f32 %f0,%f1,%f2;", F(1), F(0x1.8p-24f), 0, F(1 + 0x1p-23f)},
      {'f', "add.rp.f32 %f0,%f1,%f2;", F(1), F(0x1p-60f), 0, F(1 + 0x1p-23f)},
      {'f', "add.rm.f32 %f0,%f1,%f2;", F(1), F(-0x1p-60f), 0, F(1 - 0x1p-24f)},
      {'f', "add.rm.f32 %f0,%f1,%f2;", F(1), F(-1), 0, 0x80000000},
      {'f', "add.sat.f32 %f0,%f1,%f2;", F(1), F(3), 0, F(1)},
      {'f', "add.ftz.f32 %f0,%f1,%f2;", F(0x1p-127f), F(0x1p-127f), 0, 0},
      {'f', "sub.rz.f32 %f0,%f1,%f2;", F(1), F(0x1p-60f), 0, F(1 - 0x1p-24f)},
      {'f', "mul.f32 %f0,%f1,%f2;", F(3), F(third), 0, F(3 * third)},
      {'f', "mul.rz.f32 %f0,%f1,%f2;", F(1 + 0x1p-23f), F(1 + 0x1p-23f), 0, F(1 + 0x1p-22f)},
      {'f', "mul.rp.f32 %f0,%f1,%f2;", F(1 + 0x1p-23f), F(1 + 0x1p-23f), 0, F(1 + 0x1.8p-22f)},
      {'f', "mul.ftz.f32 %f0,%f1,%f2;", F(0x1p-100f), F(0x1p-40f), 0, 0},
      {'f', "mul.f32 %f0,%f1,%f2;", F(0x1p-100f), F(0x1p-40f), 0, F(tiny)},
      {'f', "mul.sat.f32 %f0,%f1,%f2;", NAN32, F(1), 0, 0},
      {'f', "fma.rn.f32 %f0,%f1,%f2,%f3;", F(1 + 0x1p-12f), F(1 + 0x1p-12f), F(-1), F(0x1p-11f + 0x1p-24f)},
      {'f', "fma.rz.f32 %f0,%f1,%f2,%f3;", F(1 + 0x1p-23f), F(1), F(-0x1p-80f), F(1)},
      {'f', "fma.rm.f32 %f0,%f1,%f2,%f3;", F(1), F(1), F(-0x1p-80f), F(1 - 0x1p-24f)},
      {'f', "fma.rp.f32 %f0,%f1,%f2,%f3;", F(1), F(1), F(0x1p-80f), F(1 + 0x1p-23f)},
      {'f', "fma.rn.sat.f32 %f0,%f1,%f2,%f3;", F(2), F(2), F(2), F(1)},
      {'f', "fma.rn.ftz.f32 %f0,%f1,%f2,%f3;", F(1), F(0x1p-130f), F(1), F(1)},
      {'f', "mad.rn.f32 %f0,%f1,%f2,%f3;", F(2), F(3), F(4), F(10)},
      {'f', "div.rn.f32 %f0,%f1,%f2;", F(1), F(3), 0, F(third)},
      {'f', "div.rz.f32 %f0,%f1,%f2;", F(2), F(3), 0, 0x3f2aaaaa},
      {'f', "div.rp.f32 %f0,%f1,%f2;", F(1), F(3), 0, 0x3eaaaaab},
      {'f', "div.rm.f32 %f0,%f1,%f2;", F(-1), F(3), 0, 0xbeaaaaab},
      {'f', "div.full.f32 %f0,%f1,%f2;", F(6), F(3), 0, F(2)},
      {'f', "div.approx.ftz.f32 %f0,%f1,%f2;", F(6), F(3), 0, F(2)},
      {'f', "rcp.rn.f32 %f0,%f1;", F(3), 0, 0, F(third)},
      {'f', "rcp.rz.f32 %f0,%f1;", F(3), 0, 0, 0x3eaaaaaa},
      {'f', "rcp.approx.ftz.f32 %f0,%f1;", F(4), 0, 0, F(0.25f)},
      {'f', "sqrt.rn.f32 %f0,%f1;", F(2), 0, 0, 0x3fb504f3},
      {'f', "sqrt.rp.f32 %f0,%f1;", F(2), 0, 0, 0x3fb504f4},
      {'f', "sqrt.rz.f32 %f0,%f1;", F(3), 0, 0, 0x3fddb3d7},
      {'f', "sqrt.approx.f32 %f0,%f1;", F(9), 0, 0, F(3)},
      {'f', "rsqrt.approx.f32 %f0,%f1;", F(4), 0, 0, F(0.5f)},
      {'f', "rsqrt.approx.ftz.f32 %f0,%f1;", F(tiny), 0, 0, 0x7f800000},
      {'f', "ex2.approx.f32 %f0,%f1;", F(3), 0, 0, F(8)},
      {'f', "ex2.approx.ftz.f32 %f0,%f1;", F(-130), 0, 0, 0},
      {'f', "lg2.approx.f32 %f0,%f1;", F(8), 0, 0, F(3)},
      {'f', "sin.approx.f32 %f0,%f1;", 0, 0, 0, 0},
      {'f', "cos.approx.ftz.f32 %f0,%f1;", 0, 0, 0, F(1)},
      {'f', "tanh.approx.f32 %f0,%f1;", F(100), 0, 0, F(1)},
      {'f', "neg.f32 %f0,%f1;", F(3), 0, 0, F(-3)},
      {'f', "neg.ftz.f32 %f0,%f1;", F(tiny), 0, 0, 0x80000000},
      {'f', "abs.f32 %f0,%f1;", F(-3), 0, 0, F(3)},
      {'f', "copysign.f32 %f0,%f1,%f2;", F(-3), F(2), 0, F(-2)},
      {'f', "min.f32 %f0,%f1,%f2;", NAN32, F(2), 0, F(2)},
      {'f', "max.f32 %f0,%f1,%f2;", 0x80000000, 0, 0, 0},
      {'f', "min.f32 %f0,%f1,%f2;", 0x80000000, 0, 0, 0x80000000},
      {'f', "max.NaN.f32 %f0,%f1,%f2;", NAN32, F(2), 0, NAN32},
      {'f', "max.ftz.f32 %f0,%f1,%f2;", F(tiny), F(-1), 0, 0},
      {'f', "min.xorsign.abs.f32 %f0,%f1,%f2;", F(-3), F(2), 0, F(-2)},
      {'f', "max.f32 %f0,%f1,%f2,%f3;", F(1), F(5), F(3), F(5)},
      {'d', "add.rn.f32x2 %d0,%d1,%d2;", F(1) | F(2) << 32, F(3) | F(5) << 32, 0, F(4) | F(7) << 32},
      {'d', "fma.rn.f32x2 %d0,%d1,%d2,%d3;", F(1) | F(2) << 32, F(3) | F(5) << 32, F(1) | F(1) << 32,
       F(4) | F(11) << 32},
      {'e', "add.f64 %e0,%e1,%e2;", D(1.5), D(2), 0, D(3.5)},
      {'e', "add.rp.f64 %e0,%e1,%e2;", D(1), D(0x1p-100), 0, D(1 + 0x1p-52)},
      {'e', "mul.rz.f64 %e0,%e1,%e2;", D(1 + 0x1p-52), D(1 + 0x1p-52), 0, D(1 + 0x1p-51)},
      {'e', "fma.rn.f64 %e0,%e1,%e2,%e3;", D(3), D(5), D(1), D(16)},
      {'e', "fma.rm.f64 %e0,%e1,%e2,%e3;", D(1), D(1), D(-0x1p-100), D(1 - 0x1p-53)},
      {'e', "div.rn.f64 %e0,%e1,%e2;", D(1), D(3), 0, D(1.0 / 3)},
      {'e', "div.rz.f64 %e0,%e1,%e2;", D(2), D(3), 0, 0x3fe5555555555555},
      {'e', "rcp.rn.f64 %e0,%e1;", D(3), 0, 0, D(1.0 / 3)},
      {'e', "sqrt.rn.f64 %e0,%e1;", D(16), 0, 0, D(4)},
      {'e', "min.f64 %e0,%e1,%e2;", D(1), D(-2), 0, D(-2)},
      {'e', "neg.f64 %e0,%e1;", D(1), 0, 0, D(-1)},
      {'e', "abs.f64 %e0,%e1;", D(-1), 0, 0, D(1)},
      {'e', "copysign.f64 %e0,%e1,%e2;", D(-1), D(4), 0, D(-4)},
      {'e', "rsqrt.approx.ftz.f64 %e0,%e1;", D(4), 0, 0, D(0.5)},
      {'e', "rcp.approx.ftz.f64 %e0,%e1;", D(4), 0, 0, D(0.25)},
      {'e', "mov.f64 %e0,0d3FF0000000000000;", 0, 0, 0, D(1)},
      {'f', "mov.b32 %r4,%f1;add.u32 %r4,%r4,1;mov.b32 %f0,%r4;", F(1), 0, 0, F(1 + 0x1p-23f)},
  };
  CHECK_ROWS("floats", rows);
}

static void check_halves(void) {
  const Row rows[] = {
      {'h', "add.f16 %h0,%h1,%h2;", 0x3c00, 0x4000, 0, 0x4200},
      {'h', "add.f16 %h0,%h1,%h2;", 0x6800, 0x3c00, 0, 0x6800},
      {'h', "add.sat.f16 %h0,%h1,%h2;", 0x3c00, 0x4000, 0, 0x3c00},
      {'h', "sub.f16 %h0,%h1,%h2;", 0x3c00, 0x4000, 0, 0xbc00},
      {'h', "mul.f16 %h0,%h1,%h2;", 0x4200, 0x4000, 0, 0x4600},
      {'h', "mul.ftz.f16 %h0,%h1,%h2;", 0x0400, 0x3800, 0, 0},
      {'h', "mul.f16 %h0,%h1,%h2;", 0x0400, 0x3800, 0, 0x0200},
      {'h', "fma.rn.f16 %h0,%h1,%h2,%h3;", 0x3c03, 0x3c03, 0xbc00, 0x1e02},
      {'h', "fma.rn.relu.f16 %h0,%h1,%h2,%h3;", 0x3c00, 0xbc00, 0, 0},
      {'h', "neg.f16 %h0,%h1;", 0x3c00, 0, 0, 0xbc00},
      {'h', "abs.f16 %h0,%h1;", 0xbc00, 0, 0, 0x3c00},
      {'h', "min.f16 %h0,%h1,%h2;", 0x7e00, 0x3c00, 0, 0x3c00},
      {'h', "max.NaN.f16 %h0,%h1,%h2;", 0x7e00, 0x3c00, 0, 0x7fff},
      {'h', "tanh.approx.f16 %h0,%h1;", 0x7c00, 0, 0, 0x3c00},
      {'h', "ex2.approx.f16 %h0,%h1;", 0x4200, 0, 0, 0x4800},
      {'h', "add.bf16 %h0,%h1,%h2;", 0x3f80, 0x4000, 0, 0x4040},
      {'h', "mul.bf16 %h0,%h1,%h2;", 0x4040, 0x4000, 0, 0x40c0},
      {'h', "fma.rn.bf16 %h0,%h1,%h2,%h3;", 0x3f80, 0x4000, 0x3f80, 0x4040},
      {'h', "ex2.approx.ftz.bf16 %h0,%h1;", 0x4040, 0, 0, 0x4100},
      {'r', "add.f16x2 %r0,%r1,%r2;", 0x3c004000, 0x40003c00, 0, 0x42004200},
      {'r', "sub.f16x2 %r0,%r1,%r2;", 0x3c004000, 0x40003c00, 0, 0xbc003c00},
      {'r', "fma.rn.f16x2 %r0,%r1,%r2,%r3;", 0x3c004000, 0x40003c00, 0x3c003c00, 0x42004200},
      {'r', "fma.rn.bf16x2 %r0,%r1,%r2,%r3;", 0x3f804000, 0x40003f80, 0x3f803f80, 0x40404040},
      {'r', "max.bf16x2 %r0,%r1,%r2;", 0x3f804000, 0x40003f80, 0, 0x40004000},
      {'r', "neg.bf16x2 %r0,%r1;", 0x3f804000, 0, 0, 0xbf80c000},
      {'r', "abs.f16x2 %r0,%r1;", 0xbc00c000, 0, 0, 0x3c004000},
  };
  CHECK_ROWS("halves", rows);
}

static void check_conversions(void) {
  const Row rows[] = {
      {'r', "cvt.s32.s8 %r0,%r1;", 0x80, 0, 0, 0xffffff80},
      {'r', "cvt.u32.u16 %r0,%h1;", 0xffff, 0, 0, 0xffff},
      {'r', "cvt.s32.s16 %r0,%h1;", 0xffff, 0, 0, 0xffffffff},
      {'d', "cvt.s64.s32 %d0,%r1;", 0xffffffff, 0, 0, ~0ull},
      {'d', "cvt.u64.u32 %d0,%r1;", 0xffffffff, 0, 0, 0xffffffff},
      {'h', "cvt.u16.u32 %h0,%r1;", 0x12345, 0, 0, 0x2345},
      {'h', "cvt.s16.s8 %h0,%r1;", 0xff, 0, 0, 0xffff},
      {'r', "cvt.sat.u8.s32 %r0,%r1;", 0xffffffff, 0, 0, 0},
      {'r', "cvt.sat.s8.s32 %r0,%r1;", 300, 0, 0, 127},
      {'r', "cvt.sat.s32.s64 %r0,%d1;", 1ull << 40, 0, 0, 0x7fffffff},
      {'r', "cvt.sat.u32.s32 %r0,%r1;", 0x80000000, 0, 0, 0},
      {'f', "cvt.rn.f32.s32 %f0,%r1;", 0xffffffff, 0, 0, F(-1)},
      {'f', "cvt.rn.f32.u32 %f0,%r1;", 0xffffffff, 0, 0, F(0x1p32f)},
      {'f', "cvt.rz.f32.u32 %f0,%r1;", 0xffffffff, 0, 0, 0x4f7fffff},
      {'f', "cvt.rn.f32.u8 %f0,%r1;", 0x1ff, 0, 0, F(255)},
      {'f', "cvt.rn.f32.s64 %f0,%d1;", (uint64_t)-5, 0, 0, F(-5)},
      {'f', "cvt.rz.f32.u64 %f0,%d1;", ~0ull, 0, 0, 0x5f7fffff},
      {'f', "cvt.rp.f32.s64 %f0,%d1;", (1ull << 40) + 1, 0, 0, F(0x1.000002p40f)},
      {'e', "cvt.rn.f64.s32 %e0,%r1;", 0xffffffff, 0, 0, D(-1)},
      {'e', "cvt.rn.f64.u64 %e0,%d1;", ~0ull, 0, 0, D(0x1p64)},
      {'e', "cvt.rz.f64.u64 %e0,%d1;", ~0ull, 0, 0, 0x43efffffffffffff},
      {'r', "cvt.rzi.s32.f32 %r0,%f1;", F(-2.7f), 0, 0, (uint32_t)-2},
      {'r', "cvt.rni.s32.f32 %r0,%f1;", F(2.5f), 0, 0, 2},
      {'r', "cvt.rmi.s32.f32 %r0,%f1;", F(-2.1f), 0, 0, (uint32_t)-3},
      {'r', "cvt.rpi.s32.f32 %r0,%f1;", F(2.1f), 0, 0, 3},
      {'r', "cvt.rzi.s32.f32 %r0,%f1;", F(1e20f), 0, 0, 0x7fffffff},
      {'r', "cvt.rzi.u32.f32 %r0,%f1;", F(-5), 0, 0, 0},
      {'r', "cvt.rzi.s32.f32 %r0,%f1;", NAN32, 0, 0, 0},
      {'d', "cvt.rzi.s64.f32 %d0,%f1;", F(-0x1p40f), 0, 0, (uint64_t) - (1ll << 40)},
      {'d', "cvt.rzi.u64.f64 %d0,%e1;", D(0x1p63), 0, 0, 1ull << 63},
      {'r', "cvt.rni.s32.f64 %r0,%e1;", D(3.5), 0, 0, 4},
      {'r', "cvt.rzi.u8.f32 %r0,%f1;", F(300), 0, 0, 255},
      {'h', "cvt.rzi.s16.f32 %h0,%f1;", F(-40000), 0, 0, 0x8000},
      {'r', "cvt.rzi.ftz.s32.f32 %r0,%f1;", F(7.9f), 0, 0, 7},
      {'f', "cvt.rni.f32.f32 %f0,%f1;", F(2.5f), 0, 0, F(2)},
      {'f', "cvt.rzi.f32.f32 %f0,%f1;", F(-2.5f), 0, 0, F(-2)},
      {'f', "cvt.rmi.f32.f32 %f0,%f1;", F(-2.5f), 0, 0, F(-3)},
      {'f', "cvt.rpi.f32.f32 %f0,%f1;", F(-0.5f), 0, 0, 0x80000000},
      {'e', "cvt.rni.f64.f64 %e0,%e1;", D(2.5), 0, 0, D(2)},
      {'f', "cvt.sat.f32.f32 %f0,%f1;", F(7), 0, 0, F(1)},
      {'f', "cvt.sat.f32.f32 %f0,%f1;", NAN32, 0, 0, 0},
      {'f', "cvt.ftz.f32.f32 %f0,%f1;", F(0x1p-140f), 0, 0, 0},
      {'f', "cvt.rn.f32.f64 %f0,%e1;", D(1.0 / 3), 0, 0, F(1.0f / 3)},
      {'f', "cvt.rz.f32.f64 %f0,%e1;", D(1 + 0x1.8p-24), 0, 0, F(1)},
      {'f', "cvt.rm.f32.f64 %f0,%e1;", D(-1 - 0x1p-40), 0, 0, F(-1 - 0x1p-23f)},
      {'e', "cvt.f64.f32 %e0,%f1;", F(1.5f), 0, 0, D(1.5)},
      {'h', "cvt.rn.f16.f32 %h0,%f1;", F(1 + 0x1p-11f), 0, 0, 0x3c00},
      {'h', "cvt.rn.f16.f32 %h0,%f1;", F(1 + 0x1.8p-11f), 0, 0, 0x3c01},
      {'h', "cvt.rn.f16.f32 %h0,%f1;", F(65520), 0, 0, 0x7c00},
      {'h', "cvt.rz.f16.f32 %h0,%f1;", F(65520), 0, 0, 0x7bff},
      {'h', "cvt.rp.f16.f32 %h0,%f1;", F(1 + 0x1p-20f), 0, 0, 0x3c01},
      {'h', "cvt.rn.f16.f32 %h0,%f1;", F(0x1p-24f), 0, 0, 1},
      {'h', "cvt.rz.f16.f32 %h0,%f1;", F(0x1.8p-24f), 0, 0, 1},
      {'h', "cvt.rn.f16.f32 %h0,%f1;", NAN32, 0, 0, 0x7fff},
      {'h', "cvt.rn.f16.f64 %h0,%e1;", D(1 + 0x1p-11 + 0x1p-40), 0, 0, 0x3c01},
      {'h', "cvt.rn.f16.s32 %h0,%r1;", 2049, 0, 0, 0x6800},
      {'h', "cvt.rn.f16.u16 %h0,%h1;", 65535, 0, 0, 0x7c00},
      {'f', "cvt.f32.f16 %f0,%h1;", 0x3555, 0, 0, F(0x1.554p-2f)},
      {'f', "cvt.f32.f16 %f0,%h1;", 0x0001, 0, 0, F(0x1p-24f)},
      {'f', "cvt.f32.f16 %f0,%h1;", 0xfc00, 0, 0, 0xff800000},
      {'r', "cvt.rzi.s32.f16 %r0,%h1;", 0xc500, 0, 0, (uint32_t)-5},
      {'h', "cvt.rni.f16.f16 %h0,%h1;", 0x3e00, 0, 0, 0x4000},
      {'h', "cvt.rn.bf16.f32 %h0,%f1;", F(1 + 0x1.8p-8f), 0, 0, 0x3f81},
      {'h', "cvt.rz.bf16.f32 %h0,%f1;", F(1 + 0x1.8p-8f), 0, 0, 0x3f80},
      {'h', "cvt.rn.relu.bf16.f32 %h0,%f1;", F(-3), 0, 0, 0},
      {'f', "cvt.f32.bf16 %f0,%h1;", 0x4049, 0, 0, 0x40490000},
      {'r', "cvt.rn.f16x2.f32 %r0,%f1,%f2;", F(1), F(2), 0, 0x3c004000},
      {'r', "cvt.rn.relu.f16x2.f32 %r0,%f1,%f2;", F(-1), F(2), 0, 0x00004000},
      {'r', "cvt.rn.bf16x2.f32 %r0,%f1,%f2;", F(1), F(2), 0, 0x3f804000},
      {'r', "cvt.rz.bf16x2.f32 %r0,%f1,%f2;", F(1), F(2 + 0x1.8p-7f), 0, 0x3f804000},
      {'r', "cvt.rna.tf32.f32 %r0,%f1;", F(1 + 0x1p-11f), 0, 0, F(1 + 0x1p-10f)},
      {'r', "cvt.rn.tf32.f32 %r0,%f1;", F(1 + 0x1p-11f), 0, 0, F(1)},
      {'r', "cvt.rz.tf32.f32 %r0,%f1;", F(1 + 0x1.8p-11f), 0, 0, F(1)},
  };
  CHECK_ROWS("conversions", rows);
}

int main(void) {
  sim_memory_open(1, 16 << 20);
  sim_options.compute = 120;
  check_integers();
  check_comparisons();
  check_floats();
  check_halves();
  check_conversions();
  CHECK(sim_memory_leaks(0) == 0, "%d buffers are left", sim_memory_leaks(0));
  return check_report("ptx forms");
}
