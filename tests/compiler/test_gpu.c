// Occupancy against what NVIDIA's occupancy calculator says, and the order of bounds.
#include "compiler/gpu.h"
#include "compiler/target.h"
#include "tests/check.h"

static void test_occupancy(void) {
  static const struct {
    int compute, block, registers, shared, blocks;
  } cases[] = {
      {80, 256, 32, 0, 8},          {80, 256, 64, 0, 4},  {80, 256, 65, 0, 3},         {80, 256, 255, 0, 1},
      {80, 1024, 64, 0, 1},         {80, 1024, 65, 0, 0}, {80, 32, 16, 0, 32},         {80, 128, 40, 48 << 10, 3},
      {80, 256, 128, 100 << 10, 1}, {75, 256, 32, 0, 4},  {75, 64, 32, 0, 16},         {86, 256, 40, 0, 6},
      {90, 384, 168, 0, 1},         {61, 128, 37, 0, 12}, {90, 128, 32, 227 << 10, 1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int blocks = gpu_blocks(gpu_limits(cases[i].compute), cases[i].block, cases[i].registers, cases[i].shared);
    CHECK(blocks == cases[i].blocks, "case %d: %d blocks, %d expected", (int)i, blocks, cases[i].blocks);
  }
  CHECK(gpu_occupancy(gpu_limits(80), 256, 64, 0) == 0.5, "half of the threads");
  CHECK(gpu_occupancy(gpu_limits(80), 33, 0, 0) == 1, "a warp and a bit is two");
  CHECK(!gpu_limits(42), "no such architecture");
}

static void test_targets(void) {
  for (int compute = 0; compute < 200; compute++) {
    const Target *target = target_cuda(compute);
    const GpuLimits *limits = gpu_limits(compute);
    CHECK(!target == !limits, "compute %d is known to one table only", compute);
    // One block may have all shared memory but what is reserved.
    if (target) CHECK(target->l1 <= limits->shared && gpu_blocks(limits, 128, 32, (int)target->l1) >= 1, "%d", compute);
  }
  CHECK(target_find("cuda:sm_80") == target_cuda(80) && target_find("cpu") == target_host(), "by name");
  CHECK(!target_find("cuda:sm_80x") && !target_find("cuda:sm_1") && !target_find("gpu"), "unknown names");
}

static void test_bounds(void) {
  for (int k = 0; gpu_card(k); k++) {
    const GpuCard *card = gpu_card(k);
    CHECK(gpu_limits(card->compute), "%s", card->name);
    double full = gpu_bound(card, 1000000000, 1000, 1 << 20), few = gpu_bound(card, 1000000000, 1000, 1);
    CHECK(few > 0.99 * full * card->multiprocessors, "%s: one block uses one multiprocessor", card->name);
    CHECK(gpu_bound(card, 0, 1, 1) == card->launch, "%s: nothing is faster than a launch", card->name);
    CHECK(gpu_bound(card, 1, 1000000000, 1 << 20) == 1e9 / card->bandwidth, "%s: memory", card->name);
  }
}

int main(void) {
  test_occupancy();
  test_targets();
  test_bounds();
  return check_report("gpu");
}
