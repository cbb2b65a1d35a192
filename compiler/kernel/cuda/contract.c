// CUDA contractions: which groups are taken, and the way to their schedules.
#include "compiler/kernel/cuda/contract.h"

#include "compiler/kernel/cuda/gather.h"
#include "compiler/kernel/cuda/patch.h"
#include "compiler/kernel/cuda/resize_grad.h"
#include "compiler/kernel/group.h"
#include "compiler/kernel/schedule_map.h"
#include "compiler/ops/build.h"
#include "runtime/base/status.h"

// What a member of the group is to the contraction.
typedef enum Role {
  ROLE_CORE,
  ROLE_BEFORE, // an operand is made of it
  ROLE_AFTER,  // made of the contraction's value
  ROLE_BESIDE, // an operand of what comes after
} Role;

typedef struct Matcher {
  const Group *group;
  CudaContract *out;
  Text *why;
  Role *role; // by member
} Matcher;

static bool is_contraction(const Node *node) { return op_info(node->op)->cls == CLASS_CONTRACT; }

static int member(const Group *group, const Node *node) {
  for (int i = 0; i < group->n_nodes; i++) {
    if (group->nodes[i] == node) return i;
  }
  return -1;
}

static bool is_depthwise(const Node *node) {
  if (node->op != OP_conv2d && node->op != OP_conv2d_dx && node->op != OP_conv2d_dw) return false;
  int64_t groups = node_attr(node, "groups").i;
  const Node *weight = node->op == OP_conv2d_dw ? node : node->in[1];
  return groups > 1 && weight->shape.dim[0] == groups && weight->shape.dim[1] == 1;
}

static void find_roles(Matcher *m) {
  const Group *group = m->group;
  int core = member(group, m->out->core);
  for (int i = 0; i < group->n_nodes; i++) m->role[i] = ROLE_BESIDE;
  m->role[core] = ROLE_CORE;
  for (int i = core + 1; i < group->n_nodes; i++) {
    const Node *node = group->nodes[i];
    for (int k = 0; k < node->n_in; k++) {
      int in = member(group, node->in[k]);
      if (in >= 0 && (m->role[in] == ROLE_CORE || m->role[in] == ROLE_AFTER)) m->role[i] = ROLE_AFTER;
    }
  }
  for (int i = core; i >= 0; i--) {
    if (m->role[i] != ROLE_CORE && m->role[i] != ROLE_BEFORE) continue;
    for (int k = 0; k < group->nodes[i]->n_in; k++) {
      int in = member(group, group->nodes[i]->in[k]);
      if (in >= 0) m->role[in] = ROLE_BEFORE;
    }
  }
}

enum { NEVER = 1 << 20 };

// Operations for an element of a value that is computed where it is read, those for its operands included.
static int64_t price_in_place(const Matcher *m, const Node *node) {
  if (member(m->group, node) < 0) return COST_LOAD;
  int64_t operands = 0, reads = 1;
  for (int k = 0; k < node->n_in; k++) operands += price_in_place(m, node->in[k]);
  switch (op_info(node->op)->cls) {
  case CLASS_ELEMENTWISE: return operands + map_op_price(node->op);
  case CLASS_MOVEMENT: return operands + (node->op == OP_reshape ? 6 : 1);
  case CLASS_SPATIAL:
    if (node->op != OP_resize) return NEVER;
    reads = node_attr(node, "mode").i ? 1 : 4; // bilinear
    return reads * operands + 4 * reads;
  case CLASS_CONTRACT:
    if (node != m->out->patch) return NEVER;
    operands -= price_in_place(m, node->in[1]);
    return cuda_window_price(&(CudaWindow){node, 1, 4, 16, 4, 256}, operands);
  default: return NEVER;
  }
}

static bool is_unpadded_pointwise(const Node *node) {
  return conv_is_pointwise(node) && node_attr(node, "padding").i == 0;
}

// The depthwise convolution that a pointwise core's operand is an elementwise function of. False where another
// contraction stands in front of the core.
static bool find_patch(Matcher *m) {
  const Group *group = m->group;
  bool is_of_patch[group->n_nodes];
  for (int i = 0; i < group->n_nodes; i++) {
    const Node *node = group->nodes[i];
    is_of_patch[i] = false;
    if (m->role[i] != ROLE_BEFORE) continue;
    if (is_contraction(node)) {
      if (m->out->patch || !is_unpadded_pointwise(m->out->core) || node->op != OP_conv2d || !is_depthwise(node))
        return false;
      m->out->patch = node;
      is_of_patch[i] = true;
      continue;
    }
    for (int k = 0; k < node->n_in; k++) {
      int in = member(group, node->in[k]);
      is_of_patch[i] = is_of_patch[i] || (in >= 0 && is_of_patch[in]);
    }
    if (is_of_patch[i] &&
        (op_info(node->op)->cls != CLASS_ELEMENTWISE || !shape_equal(node->shape, m->out->patch->shape)))
      return false;
  }
  if (!m->out->patch) return true;
  int operand = member(group, m->out->core->in[0]);
  return operand >= 0 && is_of_patch[operand] && member(group, m->out->core->in[1]) < 0;
}

// How often an element of the core's operand is brought to where it is used.
static double evaluations(const CudaContract *contract) {
  enum { TILE = 128 }; // rows of the largest tile
  if (contract->form == CUDA_DEPTHWISE) return cuda_window_overlap(&contract->window);
  const Node *core = contract->core;
  Shape weight = core->in[1]->shape;
  int64_t stride = node_attr(core, "stride").i, taps = weight.dim[2] * weight.dim[3];
  return (double)(taps * ceil_div(weight.dim[0], TILE)) / (double)(stride * stride);
}

// Operands are computed while they are loaded. In a kernel of its own each element would be computed once, stored and
// read again; here it is computed as often as it is loaded.
static bool check_before(Matcher *m) {
  // DEAR: operations that take as long as the way of an element through memory, 8 bytes; between those of the cards in
  // gpu.h, 50 to 90.
  enum { CHEAP = 10, DEAR = 64 };
  const Node *core = m->out->core;
  int64_t price = 0;
  for (int i = 0; i < m->group->n_nodes; i++) {
    if (m->role[i] == ROLE_BEFORE && !compute_can(m->group->nodes[i]->op))
      return group_refuse(m->why, "%s has a kernel of its own", op_info(m->group->nodes[i]->op)->name);
  }
  for (int k = 0; k < core->n_in; k++) {
    int64_t own = price_in_place(m, core->in[k]);
    if (own > price) price = own;
  }
  m->out->price = m->out->patch ? price_in_place(m, m->out->patch->in[0]) : 0;
  if (price <= CHEAP) return true;
  if (core->op != OP_conv2d || price_in_place(m, core->in[1]) > CHEAP)
    return group_refuse(m->why, "only a convolution's operands are computed while they are loaded");
  double times = evaluations(m->out);
  bool is_made_before = m->out->price > CHEAP; // and spares a way itself
  return (double)price * times <= (is_made_before ? 2 * DEAR : DEAR) ||
         group_refuse(m->why,
                      "operands would cost too much to compute where they are loaded: %lld operations %.1f times",
                      (long long)price, times);
}

static bool check_after(Matcher *m) {
  const Node *core = m->out->core;
  bool has_result = false;
  for (int i = 0; i < m->group->n_nodes; i++) {
    const Node *node = m->group->nodes[i];
    if (m->role[i] == ROLE_AFTER) {
      if (op_info(node->op)->cls != CLASS_ELEMENTWISE)
        return group_refuse(m->why, "only elementwise ops follow a contraction");
      if (!shape_equal(node->shape, core->shape)) return group_refuse(m->why, "the contraction's value is broadcast");
    }
    if (m->role[i] == ROLE_BESIDE &&
        ((op_info(node->op)->cls != CLASS_ELEMENTWISE && op_info(node->op)->cls != CLASS_MOVEMENT) ||
         !compute_can(node->op)))
      return group_refuse(m->why, "something else is computed beside the contraction");
  }
  for (int i = 0; i < m->group->n_outs; i++) {
    const Node *out = m->group->outs[i];
    Role role = m->role[member(m->group, out)];
    if (role == ROLE_BEFORE) return group_refuse(m->why, "an operand goes elsewhere too");
    if (!shape_equal(out->shape, core->shape)) return group_refuse(m->why, "a result of another shape");
    has_result = has_result || role == ROLE_CORE || role == ROLE_AFTER;
  }
  return has_result || group_refuse(m->why, "nothing needs the contraction");
}

// What the templates of depthwise convolutions do not do.
static bool fits(const Node *core) {
  int64_t stride = node_attr(core, "stride").i, taps = 0;
  if (core->op == OP_conv2d_dx && (stride > 4 || (stride > 1 && node_attr(core, "dilation").i > 1))) return false;
  const Node *weight = core->op == OP_conv2d_dw ? core : core->in[1];
  taps = weight->shape.dim[2] * weight->shape.dim[3];
  return taps <= 64;
}

static CudaForm form_of(const Target *target, const Node *core) {
  if (!is_depthwise(core)) return cuda_dense_dw_fits(target, core) ? CUDA_DENSE_DW : CUDA_GEMM;
  return core->op == OP_conv2d_dw ? CUDA_DEPTHWISE_DW : CUDA_DEPTHWISE;
}

bool cuda_contract_match(const Target *target, const Group *group, CudaContract *out, Text *why) {
  *out = (CudaContract){.target = target, .group = group};
  for (int i = 0; i < group->n_nodes; i++) {
    const Node *node = group->nodes[i];
    if (shape_elements(node->shape) == 0) return group_refuse(why, "an empty value");
    if (is_contraction(node)) out->core = node;
  }
  for (int i = 0; i < group->n_ins; i++) {
    if (shape_elements(group->ins[i]->shape) == 0) return group_refuse(why, "an empty value");
  }
  if (!out->core) return group_refuse(why, "no contraction");
  if (cuda_attention_match(group, &out->attention)) {
    out->form = CUDA_ATTENTION;
    return true;
  }
  out->form = form_of(target, out->core);
  if (is_depthwise(out->core) && !fits(out->core))
    return group_refuse(why, "a depthwise gradient with that stride and dilation");
  Role role[group->n_nodes];
  Matcher m = {.group = group, .out = out, .why = why, .role = role};
  find_roles(&m);
  if (!find_patch(&m)) return group_refuse(why, "two contractions that no template takes");
  if (out->form == CUDA_DEPTHWISE && out->core->op == OP_conv2d) {
    out->window = cuda_choose_window(target, out->core, price_in_place(&m, out->core->in[0]));
    if (!out->window.conv) return group_refuse(why, "a depthwise convolution that reads from too far");
  }
  for (int i = 0; i < group->n_nodes; i++) {
    if (is_contraction(group->nodes[i]) && role[i] != ROLE_CORE && role[i] != ROLE_BEFORE)
      return group_refuse(why, "two contractions side by side");
  }
  return check_before(&m) && check_after(&m);
}

void cuda_contract_schedule(Lower *lower, const CudaContract *contract) {
  switch (contract->form) {
  case CUDA_GEMM: cuda_schedule_gemm(lower, contract); return;
  case CUDA_DEPTHWISE: cuda_schedule_depthwise(lower, contract); return;
  case CUDA_ATTENTION: cuda_attention_schedule(lower, &contract->attention); return;
  case CUDA_DEPTHWISE_DW: cuda_schedule_depthwise_dw(lower, contract); return;
  case CUDA_DENSE_DW: cuda_schedule_dense_dw(lower, contract); return;
  }
}

void cuda_contract_preamble(const Target *target, Text *source) {
  cuda_preamble_gemm(source);
  cuda_preamble_mma(target->precision, source);
  cuda_preamble_depthwise(source);
  cuda_preamble_dense_dw(source);
  cuda_preamble_patch(source);
  cuda_preamble_gather(source);
  cuda_preamble_dot(source);
  cuda_preamble_resize_grad(source);
  cuda_attention_preamble(source);
}
