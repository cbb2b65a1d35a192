// Matrix instructions: fragments of 32 lanes become whole matrices, are multiplied, and go back.
//
// Layouts of mma are those of the PTX manual ("Matrix fragments for mma"). Those of wmma are nobody's business but must
// agree between load, mma and store: element e of a lane is element (lane * per_lane + e) modulo the matrix' size.
#include "tests/simgpu/kernel_float.h"
#include "tests/simgpu/kernel_memory.h"
#include "tests/simgpu/machine_run.h"

enum { MAX_SIDE = 32 };

typedef struct Matrix {
  int rows, columns;
  double at[MAX_SIDE][MAX_SIDE];
} Matrix;

static int bits_of(int element) {
  switch (element) {
  case ELEMENT_F16:
  case ELEMENT_BF16: return 16;
  case ELEMENT_S8:
  case ELEMENT_U8: return 8;
  case ELEMENT_F64: return 64;
  default: return 32;
  }
}

// Element k of registers that hold one element after the other.
static double get(const uint32_t *registers, int element, int k) {
  uint32_t word = registers[k];
  switch (element) {
  case ELEMENT_F16: return h2f((uint16_t)(registers[k / 2] >> (16 * (k % 2))));
  case ELEMENT_BF16: return b2f((uint16_t)(registers[k / 2] >> (16 * (k % 2))));
  case ELEMENT_S8: return (int8_t)(registers[k / 4] >> (8 * (k % 4)));
  case ELEMENT_U8: return (uint8_t)(registers[k / 4] >> (8 * (k % 4)));
  case ELEMENT_S32: return (int32_t)word;
  case ELEMENT_TF32: return u2f(word & ~0x1fffu); // the hardware does not look at the other bits
  case ELEMENT_F64: return u2d(registers[2 * k] | (uint64_t)registers[2 * k + 1] << 32);
  default: return u2f(word);
  }
}

static void put(uint32_t *registers, int element, int k, double value, bool is_saturated) {
  switch (element) {
  case ELEMENT_F16: {
    uint32_t half = d2h(value), shift = 16 * (k % 2);
    registers[k / 2] = (registers[k / 2] & ~(0xffffu << shift)) | half << shift;
    break;
  }
  case ELEMENT_F64: {
    uint64_t bits = d2u(value);
    registers[2 * k] = (uint32_t)bits;
    registers[2 * k + 1] = (uint32_t)(bits >> 32);
    break;
  }
  case ELEMENT_S32:
    registers[k] = is_saturated ? (uint32_t)to_signed(value, ROUND_ZERO, 32) : (uint32_t)(int64_t)value;
    break;
  default: registers[k] = f2u((float)value);
  }
}

typedef enum Part { PART_A, PART_B, PART_C } Part;

// Where element k of a lane lies in its matrix.
static void place(const SimMatrix *x, Part part, int element, int lane, int k, int per_lane, int *row, int *column) {
  int rows = part == PART_B ? x->k : x->m, columns = part == PART_A ? x->k : x->n;
  if (x->is_wmma) {
    int index = (lane * per_lane + k) % (rows * columns);
    *row = index / columns;
    *column = index % columns;
    return;
  }
  int group = lane / 4, in_group = lane % 4, each = bits_of(element) >= 32 ? 1 : 32 / bits_of(element);
  int reg = k / each, within = k % each;
  switch (part) {
  case PART_A: // registers alternate between the upper and the lower 8 rows
    *row = group + (x->m == 16 ? 8 * (reg & 1) : 0);
    *column = each * in_group + within + 4 * each * (x->m == 16 ? reg >> 1 : reg);
    break;
  case PART_B:
    *row = each * in_group + within + 4 * each * reg;
    *column = group;
    break;
  case PART_C: *row = group + 8 * (k >> 1); *column = 2 * in_group + (k & 1);
  }
}

static int elements_per_lane(const SimMatrix *x, Part part, int element) {
  int rows = part == PART_B ? x->k : x->m, columns = part == PART_A ? x->k : x->n;
  int per_lane = rows * columns / WARP;
  // wmma of halves keeps each element of a and b twice
  return x->is_wmma && part != PART_C && element == ELEMENT_F16 ? 16 : per_lane;
}

static int words(int element, int n) { return n * bits_of(element) / 32; }

static void gather(const SimMatrix *x, Part part, int element, const SimThread *lanes, int first, Matrix *out) {
  int per_lane = elements_per_lane(x, part, element);
  for (int lane = 0; lane < WARP; lane++)
    for (int k = 0; k < per_lane; k++) {
      int row, column;
      place(x, part, element, lane, k, per_lane, &row, &column);
      out->at[row][column] = get(lanes[lane].in + first, element, k);
    }
}

static void multiply(SimThread *lanes) {
  static __thread Matrix a, b, c;
  const SimMatrix *x = lanes[0].detail;
  int n_a = words(x->a, elements_per_lane(x, PART_A, x->a)), n_b = words(x->b, elements_per_lane(x, PART_B, x->b));
  gather(x, PART_A, x->a, lanes, 0, &a);
  gather(x, PART_B, x->b, lanes, n_a, &b);
  gather(x, PART_C, x->c, lanes, n_a + n_b, &c);
  for (int row = 0; row < x->m; row++)
    for (int column = 0; column < x->n; column++) {
      double sum = 0;
      for (int k = 0; k < x->k; k++) sum += a.at[row][k] * b.at[k][column];
      c.at[row][column] += sum;
    }
  int per_lane = elements_per_lane(x, PART_C, x->d);
  for (int lane = 0; lane < WARP; lane++)
    for (int k = 0; k < per_lane; k++) {
      int row, column;
      place(x, PART_C, x->d, lane, k, per_lane, &row, &column);
      put(lanes[lane].out, x->d, k, c.at[row][column], x->is_saturated);
    }
}

static uint8_t *cell(SimThread *thread, SimBlock *block, int space, uint64_t address, unsigned n, int access) {
  if (!space) space = address >> 48 == 2 ? 2 : 1;
  bool is_shared = space == 2;
  if (is_shared && address >> 48 == 2) address ^= SIM_SHARED_WINDOW;
  uint8_t *at = is_shared ? shared_at(thread, block, address, n, access, thread->site)
                          : global_at(thread, block, address, n, access, thread->site);
  if (sim_options.finds_races) race_access(thread, block, is_shared, address, n, access, thread->site);
  if (sim_options.counts) count_access(thread, block, is_shared, address, n, access, thread->site);
  return at;
}

// wmma.load and wmma.store, element by element.
static void fragment(Worker *worker, SimThread *lanes, bool is_store) {
  const SimMatrix *x = lanes[0].detail;
  Part part = x->fragment == 'a' ? PART_A : x->fragment == 'b' ? PART_B : PART_C;
  unsigned bytes = (unsigned)bits_of(x->a) / 8;
  int per_lane = x->n_registers * 4 / (int)bytes;
  for (int lane = 0; lane < WARP; lane++) {
    SimThread *thread = &lanes[lane];
    uint8_t *registers = (uint8_t *)(is_store ? thread->in : thread->out);
    for (int k = 0; k < per_lane; k++) {
      int row, column;
      place(x, part, x->a, lane, k, per_lane, &row, &column);
      uint64_t index = x->a_columns ? (uint64_t)column * thread->stride + (uint64_t)row
                                    : (uint64_t)row * thread->stride + (uint64_t)column;
      uint8_t *at = cell(thread, &worker->block, x->space, thread->address + index * bytes, bytes,
                         is_store ? ACCESS_WRITE : ACCESS_READ);
      if (is_store) memcpy(at, registers + (unsigned)k * bytes, bytes);
      else memcpy(registers + (unsigned)k * bytes, at, bytes);
    }
  }
}

// ldmatrix and stmatrix: lane 8 i + r holds the address of row r of the i-th matrix of 8 x 8 halves.
static void rows(Worker *worker, SimThread *lanes, bool is_store) {
  const SimMatrix *x = lanes[0].detail;
  for (int i = 0; i < x->n_registers; i++) {
    uint8_t *row[8];
    for (int r = 0; r < 8; r++) {
      SimThread *thread = &lanes[8 * i + r];
      row[r] = cell(thread, &worker->block, x->space, thread->address, 16, is_store ? ACCESS_WRITE : ACCESS_READ);
    }
    for (int lane = 0; lane < WARP; lane++) {
      uint16_t halves[2];
      for (int k = 0; k < 2; k++) {
        int r = x->is_transposed ? 2 * (lane % 4) + k : lane / 4, c = x->is_transposed ? lane / 4 : 2 * (lane % 4) + k;
        if (is_store) store_u16(row[r] + 2 * c, (uint16_t)(lanes[lane].in[i] >> (16 * k)));
        else halves[k] = load_u16(row[r] + 2 * c);
      }
      if (!is_store) lanes[lane].out[i] = BOTH(halves[0], halves[1]);
    }
  }
}

void matrix_run(Worker *worker, SimThread *lanes) {
  switch (lanes[0].wait) {
  case WAIT_MATRIX: multiply(lanes); break;
  case WAIT_WMMA_LOAD: fragment(worker, lanes, false); break;
  case WAIT_WMMA_STORE: fragment(worker, lanes, true); break;
  case WAIT_LOAD_MATRIX: rows(worker, lanes, false); break;
  default: rows(worker, lanes, true);
  }
}
