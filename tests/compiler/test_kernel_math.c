// Accuracy of the vector functions in generated kernels, over floats of every exponent and at special places.
#define CASE_LEVEL "-O2"
#include "tests/compiler/kernel_case.h"

typedef struct MathCase {
  const char *op; // with %x
  double (*exact)(double x);
  double from, to; // checked where from <= x <= to; elsewhere both must be the same kind of number
  double ulps;
} MathCase;

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double rsqrt_of(double x) { return 1 / sqrt(x); }
static double elu(double x) { return x > 0 ? x : expm1(x); }
static double relu(double x) { return x < 0 ? 0 : x; }
static double hard_sigmoid(double x) { return fmin(fmax(x + 3, 0), 6) / 6 + (isnan(x) ? x : 0); }
static double negative(double x) { return -x; }
static double clamp(double x) { return x < -1 ? -1 : x > 2 ? 2 : x; }

static const MathCase math_cases[] = {
    {"exp(%x)", exp, -87, INFINITY, 2},
    {"log(%x)", log, 0, INFINITY, 2},
    {"sqrt(%x)", sqrt, -INFINITY, INFINITY, 0.5},
    {"rsqrt(%x)", rsqrt_of, 1e-37, INFINITY, 1.5},
    {"tanh(%x)", tanh, -INFINITY, INFINITY, 2.5},
    {"sigmoid(%x)", sigmoid, -80, INFINITY, 2.5},
    {"sin(%x)", sin, -INFINITY, INFINITY, 2},
    {"cos(%x)", cos, -INFINITY, INFINITY, 2},
    {"elu(%x)", elu, -INFINITY, INFINITY, 2.5},
    {"relu(%x)", relu, -INFINITY, INFINITY, 0.5},
    {"abs(%x)", fabs, -INFINITY, INFINITY, 0.5},
    {"neg(%x)", negative, -INFINITY, INFINITY, 0.5},
    {"hard_sigmoid(%x)", hard_sigmoid, -INFINITY, INFINITY, 2},
    {"clamp(%x) lo=-1 hi=2", clamp, -INFINITY, INFINITY, 0.5},
};

enum { N = 1 << 17 };

// Floats of all exponents and signs, more of them where functions bend, and special ones.
static void fill(float *x) {
  static const float special[] = {0.0f,      -0.0f,           INFINITY, -INFINITY, NAN,     1e-45f,
                                  -1e-45f,   1.17549435e-38f, 88.7228f, 88.7229f,  89.0f,   -87.3365f,
                                  -87.3366f, -103.97f,        -103.98f, -104.0f,   -200.0f, 3.4e38f,
                                  -3.4e38f,  0.625f,          -0.625f,  1.0f,      -1.0f,   1e8f};
  for (int i = 0; i < N; i++) {
    uint32_t bits = (uint32_t)i * 32749u; // a prime step through all bit patterns
    float f;
    memcpy(&f, &bits, sizeof f);
    x[i] = i % 2 ? f : (float)case_random(-12, 12);
  }
  memcpy(x, special, sizeof special);
}

// Distance in units of the last place of the exact value; 0 for equal kinds of infinity and NaN.
static double ulps(float got, double exact) {
  if (isnan(exact)) return isnan(got) ? 0 : INFINITY;
  if (isinf((float)exact)) return got == (float)exact ? 0 : INFINITY;
  int exponent;
  frexp(exact, &exponent);
  double unit = ldexp(1, exponent - 24);
  if (unit < ldexp(1, -149)) unit = ldexp(1, -149);
  return fabs((double)got - exact) / unit;
}

static void check_math(const MathCase *c, SgKernel *function, int64_t n_tasks, const float *x, float *y, int width) {
  function(NULL, (float *const[]){(float *)x, y}, 0, n_tasks, NULL);
  double worst = 0;
  float where = 0, got = 0;
  for (int i = 0; i < N; i++) {
    if (x[i] < c->from || x[i] > c->to) {
      // Outside the checked range results fade into denormals: they must stay near zero, or be as exact.
      double error = fabs(y[i] - c->exact(x[i]));
      CHECK(error < 1e-35 || isnan(c->exact(x[i])) == isnan(y[i]), "%s of %g is %g", c->op, (double)x[i], (double)y[i]);
      continue;
    }
    double error = ulps(y[i], c->exact(x[i]));
    if (error <= worst) continue;
    worst = error;
    where = x[i];
    got = y[i];
  }
  CHECK(worst <= c->ulps, "%s, vectors of %d: %.2f ulp at %.9g: %.9g instead of %.9g", c->op, width, worst,
        (double)where, (double)got, c->exact(where));
}

static void test_width(int width) {
  Target target = *target_host();
  target.vector = target.wide = width;
  KernelCases cases;
  cases_begin(&cases, &target);
  int n_cases = sizeof math_cases / sizeof *math_cases;
  for (int i = 0; i < n_cases; i++) {
    char text[256];
    snprintf(text, sizeof text, "%%x = input \"x\" : [%d]\n%%r = %s\noutput \"r\" = %%r\n", N, math_cases[i].op);
    Diag *diag = diag_new(cases.arena, 20);
    Graph *graph = graph_parse(cases.arena, "math", text, diag);
    CHECK(graph, "%s is not read", math_cases[i].op);
    if (graph) cases_add(&cases, graph, math_cases[i].op, 1);
  }
  void *library = cases_build(&cases);
  float *x = aligned_alloc(64, sizeof *x * N), *y = aligned_alloc(64, sizeof *y * N);
  fill(x);
  for (int i = 0; library && i < n_cases; i++) {
    SgKernel *function = (SgKernel *)dlsym(library, cases.list[i].info.symbol);
    CHECK(function, "no function %s", cases.list[i].info.symbol);
    if (function) check_math(&math_cases[i], function, cases.list[i].info.n_tasks, x, y, width);
  }
  free(x);
  free(y);
  cases_end(&cases, library);
}

int main(void) {
  const int widths[] = {4, 8, 16};
  for (int i = 0; i < 3; i++) test_width(widths[i]);
  return check_report("kernel_math");
}
