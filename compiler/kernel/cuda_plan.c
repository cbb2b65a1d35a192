// How blocks and threads share a map's work.
#include "compiler/kernel/cuda_map.h"

#include "compiler/kernel/compute.h"

static int64_t turns(const Map *map, int from, int to) {
  int64_t n = 1;
  for (int k = from; k < to; k++) n *= map->loop[k].n;
  return n;
}

void cuda_plan(Map *map, CudaPlan *plan) {
  *plan = (CudaPlan){.rows = CUDA_BLOCK,
                     .lanes = 1,
                     .is_row_fast = true,
                     .parts = 1,
                     .n_rows = turns(map, 0, map->n_outer),
                     .n_inner = turns(map, map->n_outer, map->n_loops)};
  if (cuda_can_quad(map)) {
    plan->is_quad = true;
    plan->n_rows /= CUDA_QUAD;
  }
  plan->n_blocks = (plan->n_rows + plan->rows - 1) / plan->rows;
}

static bool refuse(Text *why, const char *reason) {
  if (why) text_put(why, reason);
  return false;
}

bool cuda_can_fuse(const Target *target, const Group *group, Text *why) {
  (void)target;
  const Node *first = group->outs[0];
  for (int k = 0; k < group->n_nodes; k++) {
    if (!compute_can(group->nodes[k]->op)) return refuse(why, "one of the ops has a kernel of its own");
  }
  for (int k = 1; k < group->n_outs; k++) {
    if (!shape_equal(group->outs[k]->shape, first->shape)) return refuse(why, "the results have different shapes");
  }
  return true;
}
