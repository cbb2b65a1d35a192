// PTX modules written by hand: what NVRTC rarely or never emits but the language has, scopes, tables of branches,
// functions, address spaces, initialisers.
#include "tests/simgpu/sim_case.h"

#define HEAD ".version 8.7\n.target sm_80\n.address_size 64\n"

// A module of one kernel k(out) whose result, a word, must be `want`.
static void gives(const char *title, const char *ptx, uint32_t want) {
  SimModule *module = load(ptx);
  if (!module) return;
  uint64_t out = buffer(NULL, 4);
  uint32_t got = 0;
  RUN(module, "k", 1, 1, 0, out);
  if (fetch(out, &got, 4)) CHECK(got == want, "%s: 0x%x, not 0x%x", title, got, want);
  sim_memory_free(out);
  sim_module_unload(module);
}

static void faults(const char *ptx, SimFaultKind kind, const char *words) {
  SimModule *module = load(ptx);
  if (!module) return;
  uint64_t out = buffer(NULL, 4);
  FAULTS(kind, words, module, "k", 1, 1, 0, out);
  sim_memory_free(out);
  sim_module_unload(module);
}

static void refused(const char *ptx, const char *words) {
  char why[400] = "";
  SimModule *module = sim_module_load(ptx, why, sizeof why);
  CHECK(!module && strstr(why, words), "'%s' expected, got: %s", words, why);
  sim_module_unload(module);
}

#define BEGIN                                                                                                          \
  ".visible .entry k(.param .u64 out) {\n.reg .b32 %r<9>; .reg .b64 %d<9>; .reg .pred %p<4>; .reg .f32 %f<4>;\n"       \
  "ld.param.u64 %d0, [out];\n"
#define END "st.global.u32 [%d0], %r0;\nret;\n}\n"

static void check_control(void) {
  gives("a table of branches",
        HEAD BEGIN
        "mov.u32 %r1, 2; mov.u32 %r0, 0;\nTABLE: .branchtargets A, B, C;\n"
        "brx.idx %r1, TABLE;\nA: add.u32 %r0, %r0, 1;\nB: add.u32 %r0, %r0, 10;\nC: add.u32 %r0, %r0, 100;\n" END,
        100);
  gives("labels and registers of scopes",
        HEAD BEGIN "mov.u32 %r0, 0;\n{ .reg .b32 %r<2>; .reg .pred q; mov.u32 %r1, 3;\n"
                   "LOOP: sub.u32 %r1, %r1, 1; setp.ne.u32 q, %r1, 0; @q bra LOOP; }\n"
                   "{ .reg .b32 v; mov.u32 v, 4;\nLOOP: add.u32 %r0, %r0, v; sub.u32 v, v, 1; setp.ne.u32 %p1, v, 0;\n"
                   "@%p1 bra LOOP; @!%p1 bra OUT; }\nOUT:\n" END,
        10);
  faults(HEAD BEGIN "mov.u32 %r1, 7;\nT: .branchtargets A, B;\nbrx.idx.uni %r1, T;\nA:\nB:\n" END, SIM_BAD_ADDRESS,
         "no target of its table");
  faults(HEAD BEGIN "trap;\n" END, SIM_TRAP, "trap");
}

static void check_functions(void) {
  const char *twice = ".func (.param .b32 r) twice(.param .b32 x) { .reg .b32 %r<3>; .reg .pred %p<2>;\n"
                      "ld.param.u32 %r1, [x]; setp.gt.u32 %p1, %r1, 50; @%p1 bra BIG; add.u32 %r2, %r1, %r1;\n"
                      "st.param.b32 [r], %r2; ret;\nBIG: mov.u32 %r2, 7; st.param.b32 [r], %r2; ret; }\n";
  char ptx[2000];
  snprintf(ptx, sizeof ptx, "%s%s%s%s%s", HEAD, twice, BEGIN,
           "mov.u32 %r1, 20; setp.eq.u32 %p1, %r1, 20;\n"
           "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call (b), twice, (a); ld.param.b32 %r0, [b]; }\n"
           "{ .param .b32 a; .param .b32 b; st.param.b32 [a], 60; call (b), twice, (a); ld.param.b32 %r2, [b]; }\n"
           "{ .param .b32 a; .param .b32 b; st.param.b32 [a], 1; st.param.b32 [b], 100; @!%p1 call (b), twice, (a);\n"
           "ld.param.b32 %r3, [b]; }\nadd.u32 %r0, %r0, %r2; add.u32 %r0, %r0, %r3;\n",
           END);
  gives("calls", ptx, 40 + 7 + 100);
  refused(HEAD ".func f() { call f; ret; }\n" BEGIN "call f;\n" END, "calls itself");
  refused(HEAD ".extern .func g();\n" BEGIN "call g;\n" END, "g is defined nowhere");
  refused(HEAD BEGIN "call %d0;\n" END, "call through a pointer");
}

static void check_spaces(void) {
  gives("generic addresses of shared and local memory",
        HEAD ".shared .align 4 .b8 outside[16];\n" BEGIN ".shared .align 4 .u32 s; .local .align 4 .b8 l[16];\n"
             "mov.u64 %d1, s; cvta.shared.u64 %d1, %d1; mov.u64 %d2, l; cvta.local.u64 %d2, %d2;\n"
             "st.u32 [%d1], 5; st.u32 [%d2+8], 6; atom.add.u32 %r3, [%d1], 10; ld.shared.u32 %r1, [s];\n"
             "ld.local.u32 %r2, [l+8]; add.u32 %r0, %r1, %r2; st.shared.u32 [outside+12], %r0;\n"
             "ld.shared.u32 %r0, [outside+12]; isspacep.shared %p1, %d1; isspacep.local %p2, %d1;\n"
             "isspacep.global %p3, %d0; selp.u32 %r4, 100, 0, %p1; selp.u32 %r5, 1000, 0, %p2; add.u32 %r0, %r0, %r4;\n"
             "selp.u32 %r6, 10000, 0, %p3; add.u32 %r0, %r0, %r5; add.u32 %r0, %r0, %r6;\n" END,
        21 + 100 + 10000);
  gives("addresses in initialisers, constants, vectors",
        HEAD
        ".global .align 8 .u64 table[2] = {other+4, generic(other)};\n.global .align 4 .u32 other[3] = {7, 8, 9};\n"
        ".const .align 8 .v2 .f32 pair = {0f3F800000, 0f40000000};\n" BEGIN
        "ld.global.u64 %d1, [table]; ld.global.u32 %r0, [%d1]; ld.global.u64 %d2, [table+8];\n"
        "ld.global.u32 %r1, [%d2+8]; ld.const.v2.f32 {%f1, _}, [pair]; cvt.rzi.u32.f32 %r2, %f1;\n"
        "mad.lo.u32 %r0, %r1, 10, %r0; mad.lo.u32 %r0, %r2, 1000, %r0;\n" END,
        8 + 90 + 1000);
  gives("parameters through a register",
        HEAD ".visible .entry k(.param .u64 out) { .reg .b32 %r<4>; .reg .b64 %d<4>;\n"
             "mov.u64 %d1, out; ld.param.u64 %d0, [%d1]; cvta.param.u64 %d2, %d1; ld.u64 %d3, [%d2];\n"
             "sub.u64 %d3, %d3, %d0; cvt.u32.u64 %r0, %d3; add.u32 %r0, %r0, 3; st.global.u32 [%d0], %r0; ret; }\n",
        3);
  gives("32-bit shared addresses, volatile and cached accesses",
        HEAD BEGIN
        ".shared .align 16 .b8 s[64];\nmov.u32 %r1, s; add.u32 %r1, %r1, 8; st.shared.u32 [%r1+4], 9;\n"
        "ld.volatile.shared.u32 %r0, [%r1+4]; st.volatile.global.u32 [%d0], %r0;\n"
        "ld.global.cg.u32 %r2, [%d0]; ld.global.L1::evict_last.L2::128B.u32 %r3, [%d0];\n"
        "ld.relaxed.gpu.global.u32 %r4, [%d0]; ld.acquire.sys.global.u32 %r5, [%d0];\n"
        "add.u32 %r0, %r2, %r3; add.u32 %r0, %r0, %r4; add.u32 %r0, %r0, %r5;\n"
        "st.release.gpu.global.u32 [%d0], %r0; st.global.wt.u32 [%d0], %r0; fence.acq_rel.gpu; membar.sys;\n" END,
        36);
  gives("guards and sinks",
        HEAD BEGIN "mov.u32 %r0, 1; setp.eq.u32 %p1|%p2, %r0, 1; @%p1 add.u32 %r0, %r0, 4; @!%p1 add.u32 %r0, %r0, 8;\n"
                   "@%p2 ld.global.u32 %r0, [0];\n" END,
        5);
  faults(HEAD BEGIN ".local .align 4 .b8 l[8];\nst.local.u32 [l+8], 1; mov.u32 %r0, 0;\n" END, SIM_BAD_ADDRESS,
         "local memory");
  faults(HEAD BEGIN "ld.global.u32 %r0, [0];\n" END, SIM_BAD_ADDRESS, "in no device's memory");
  faults(HEAD BEGIN "mov.u64 %d1, 0x7f0000001000; ld.u32 %r0, [%d1];\n" END, SIM_BAD_ADDRESS, "in no device's memory");
  refused(HEAD BEGIN "ld.param.u64 %d1, [out+8];\n" END, "outside of parameter");
}

static void check_text(void) {
  refused("no ptx at all", "PTX line 1");
  refused(HEAD ".global .u32 x", "expected");
  refused(HEAD BEGIN "mov.u32 %r0 1;\n" END, "';' expected");
  refused(HEAD BEGIN "mov.u32 %r77, 1;\n" END, "%r77");
  refused(HEAD ".extern .global .u32 x;\n", "defined nowhere");
  refused(HEAD ".visible .entry k() .reqnctapercluster 2, 1, 1 { ret; }\n", ".reqnctapercluster");
  refused(HEAD BEGIN "wgmma.fence.sync.aligned;\n" END, "not known");
  refused(HEAD BEGIN "mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 {%f0,%f1},{%r1,%r2},{%r3,%r4},{%f0,%f1};\n" END,
          "not known");
}

int main(void) {
  sim_memory_open(1, 16 << 20);
  check_control();
  check_functions();
  check_spaces();
  check_text();
  CHECK(sim_memory_leaks(0) == 0, "%d buffers are left", sim_memory_leaks(0));
  return check_report("ptx module");
}
