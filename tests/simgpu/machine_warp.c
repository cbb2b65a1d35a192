#include "tests/simgpu/kernel_memory.h"
#include "tests/simgpu/machine_run.h"

// ---- single operations: `lanes` are the warp's, `mask` those that take part

static void shuffle(Worker *worker, SimThread *lanes, uint32_t mask) {
  for (int k = 0; k < WARP; k++) {
    if (!(mask >> k & 1)) continue;
    SimThread *lane = &lanes[k];
    uint32_t b = lane->in[1] & 31, clamp = lane->in[2] & 31, segment = lane->in[2] >> 8 & 31;
    int last = (int)(((uint32_t)k & segment) | (clamp & ~segment)), first = (int)((uint32_t)k & segment), from;
    bool inside;
    switch (lane->sub) {
    case SHUFFLE_UP: from = k - (int)b, inside = from >= last; break;
    case SHUFFLE_DOWN: from = k + (int)b, inside = from <= last; break;
    case SHUFFLE_XOR: from = k ^ (int)b, inside = from <= last; break;
    default: from = first | (int)(b & ~segment), inside = from <= last; break;
    }
    if (!inside) from = k;
    if (!(mask >> from & 1))
      fault_at(lane, &worker->block, SIM_BARRIER, lane->site,
               "shuffle from lane %d, which does not take part (mask 0x%08x)", from, mask);
    lane->out[0] = lanes[from].in[0];
    lane->out[1] = inside;
  }
}

static void vote(SimThread *lanes, uint32_t mask) {
  uint32_t ballot = 0;
  for (int k = 0; k < WARP; k++)
    if (mask >> k & 1 && lanes[k].in[0]) ballot |= 1u << k;
  for (int k = 0; k < WARP; k++) {
    if (!(mask >> k & 1)) continue;
    switch (lanes[k].sub) {
    case VOTE_ALL: lanes[k].out[0] = ballot == mask; break;
    case VOTE_ANY: lanes[k].out[0] = ballot != 0; break;
    case VOTE_UNIFORM: lanes[k].out[0] = ballot == mask || !ballot; break;
    default: lanes[k].out[0] = ballot;
    }
  }
}

static void match(SimThread *lanes, uint32_t mask) {
  for (int k = 0; k < WARP; k++) {
    if (!(mask >> k & 1)) continue;
    uint32_t same = 0;
    for (int other = 0; other < WARP; other++)
      if (mask >> other & 1 && lanes[other].in[0] == lanes[k].in[0] && lanes[other].in[1] == lanes[k].in[1])
        same |= 1u << other;
    bool is_all = lanes[k].sub == MATCH_ALL;
    lanes[k].out[0] = is_all && same != mask ? 0 : same;
    lanes[k].out[1] = same == mask;
  }
}

static void reduce(SimThread *lanes, uint32_t mask) {
  uint32_t result = 0;
  bool is_first = true;
  for (int k = 0; k < WARP; k++) {
    if (!(mask >> k & 1)) continue;
    uint32_t a = lanes[k].in[0];
    if (is_first) {
      result = a;
      is_first = false;
      continue;
    }
    switch (lanes[k].sub) {
    case REDUX_ADD: result += a; break;
    case REDUX_MIN_U: result = a < result ? a : result; break;
    case REDUX_MAX_U: result = a > result ? a : result; break;
    case REDUX_MIN_S: result = (int32_t)a < (int32_t)result ? a : result; break;
    case REDUX_MAX_S: result = (int32_t)a > (int32_t)result ? a : result; break;
    case REDUX_AND: result &= a; break;
    case REDUX_OR: result |= a; break;
    default: result ^= a;
    }
  }
  for (int k = 0; k < WARP; k++)
    if (mask >> k & 1) lanes[k].out[0] = result;
}

static void elect(SimThread *lanes, uint32_t mask) {
  int leader = __builtin_ctz(mask);
  for (int k = 0; k < WARP; k++)
    if (mask >> k & 1) lanes[k].out[0] = (uint32_t)leader, lanes[k].out[1] = k == leader;
}

static bool is_matrix(uint32_t wait) { return wait >= WAIT_MATRIX; }

static void perform(Worker *worker, SimThread *lanes, uint32_t mask) {
  SimThread *first = &lanes[__builtin_ctz(mask)];
  switch (first->wait) {
  case WAIT_SHUFFLE: shuffle(worker, lanes, mask); break;
  case WAIT_VOTE: vote(lanes, mask); break;
  case WAIT_MATCH: match(lanes, mask); break;
  case WAIT_REDUX: reduce(lanes, mask); break;
  case WAIT_ELECT: elect(lanes, mask); break;
  case WAIT_WARP:
    if (sim_options.finds_races) race_warp(worker, (int)first->warp, mask);
    break;
  default: matrix_run(worker, lanes);
  }
  for (int k = 0; k < WARP; k++)
    if (mask >> k & 1) lanes[k].wait = WAIT_NOTHING;
}

// Lanes that reached activemask when nobody else of the warp can go on are those that run together.
static bool resolve_active(SimThread *lanes, int n) {
  SimThread *first = NULL;
  uint32_t mask = 0;
  for (int k = 0; k < n; k++)
    if (lanes[k].wait == WAIT_ACTIVE && (!first || lanes[k].site < first->site)) first = &lanes[k];
  if (!first) return false;
  for (int k = 0; k < n; k++)
    if (lanes[k].wait == WAIT_ACTIVE && lanes[k].site == first->site) mask |= 1u << k;
  for (int k = 0; k < n; k++)
    if (mask >> k & 1) lanes[k].out[0] = mask, lanes[k].wait = WAIT_NOTHING;
  return true;
}

bool warp_resolve(Worker *worker, int warp) {
  SimThread *lanes = &worker->threads[warp * WARP];
  int n = worker->n_threads - warp * WARP;
  if (n > WARP) n = WARP;
  uint32_t alive = 0, done = 0;
  bool progress = false;
  for (int k = 0; k < n; k++) {
    if (lanes[k].wait != WAIT_EXITED) alive |= 1u << k;
    if (lanes[k].wait == WAIT_BARRIER && lanes[k].sub == BARRIER_ARRIVE && lanes[k].barrier < MAX_BARRIERS) {
      worker->arrived[lanes[k].barrier]++;
      if (sim_options.finds_races) race_arrive(worker, lanes[k].barrier, warp);
      lanes[k].wait = WAIT_NOTHING;
      progress = true;
    }
  }
  for (int k = 0; k < n; k++) {
    SimThread *lane = &lanes[k];
    if (lane->wait <= WAIT_BARRIER || lane->wait == WAIT_ACTIVE || done >> k & 1) continue;
    if (!(lane->mask >> k & 1))
      fault_at(lane, &worker->block, SIM_BARRIER, lane->site, "mask 0x%08x does not name the lane %d itself, used",
               lane->mask, k);
    // Lanes that have ended need not come, but for matrix products all have to.
    uint32_t mask = is_matrix(lane->wait) ? lane->mask : lane->mask & alive, here = 0;
    for (int other = 0; other < n; other++)
      if (mask >> other & 1 && lanes[other].wait == lane->wait && lanes[other].site == lane->site &&
          lanes[other].mask == lane->mask)
        here |= 1u << other;
    if (here != mask) continue;
    perform(worker, lanes, mask);
    done |= mask;
    progress = true;
  }
  return progress || resolve_active(lanes, n);
}
