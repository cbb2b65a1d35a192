// Operator cases: each becomes a small .net model over the case's inputs, evaluated and differentiated.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/pass/pass.h"
#include "tests/golden/golden.h"
#include "tests/golden/ops.h"

// How a family of cases is written in the language. The first row whose prefix matches is used.
typedef struct Family {
  const char *prefix;
  const char *body;   // statements that compute the outputs from the inputs and the attributes
  const char *params; // "input=parameter path, ...": inputs that are parameters of a stdlib module
} Family;

static const Family families[] = {
    {"conv_", "y = conv2d(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)", ""},
    {"bn_", "y = batch_norm(x, eps=eps, momentum=momentum)",
     "weight=weight, bias=bias, running_mean=running_mean, running_var=running_var"},
    {"bil_", "y = resize(x, size=size, mode=bilinear, align_corners=align_corners)", ""},
    {"near_", "y = resize(x, size=size, mode=nearest)", ""},
    {"concat_channels", "y = concat(a, b, c, axis=axis)", ""},
    {"slice_channels", "y = slice(x, axis=axis, start=start, stop=stop)", ""},
    {"repeat_interleave", "y = repeat_cells(x, k)", ""},
    {"pad_const", "y = pad(x, before=[0, 0, top, left], after=[0, 0, bottom, right], value=value)", ""},
    {"pad_left1", "y = pad(x, before=[0, left], after=[0, 0], value=value)", ""},
    {"flip_w", "y = flip(x, axis=axis)", ""},
    {"sum_hw", "y = sum(x, axes=axes)", ""},
    {"mean_c_keep", "y = mean(x, axes, keep=keepdim)", ""},
    {"mean_", "y = mean(x, axes)", ""},
    {"max_c", "y = max(x, axes=axes)", ""},
    {"max_last", "y = max(x, axes=axes, keep=keepdim)", ""},
    {"global_avg_pool", "y = mean(x, [2, 3], keep=true)", ""},
    {"cumsum_last", "y = cumsum(x, axis=axis)", ""},
    {"masked_mean", "y = masked_mean(x, mask)", ""},
    {"softmax_", "y = softmax(x, axis=axis)", ""},
    {"layer_norm", "y = layer_norm(x, eps=eps)", "weight=weight, bias=bias"},
    {"l2_normalise", "y = l2_normalise(x, axis, eps=eps)", ""},
    {"matmul_bt", "y = matmul(a, b, transpose_b=true)", ""},
    {"matmul_at", "y = matmul(a, b, transpose_a=true)", ""},
    {"matmul", "y = matmul(a, b)", ""},
    {"linear_bias", "y = linear(x, shape(y_like)[2])", "weight=weight, bias=bias"},
    {"range_maps",
     "n = shape(p)\n"
     "y = reshape(matmul(q, reshape(p, shape=[n[0], n[1], n[2] * n[3]])), shape=[n[0], shape(q)[1], n[2], n[3]])",
     ""},
    {"mha", "y = transpose(self_attention(transpose(x, perm=[1, 0, 2]), heads), perm=[1, 0, 2])",
     "in_w=in_proj_weight, in_b=in_proj_bias, out_w=out_proj.weight, out_b=out_proj.bias"},
    {"encoder_layer",
     "y = transpose(encoder_layer(transpose(x, perm=[1, 0, 2]), heads, hidden, eps=eps), perm=[1, 0, 2])",
     "in_w=self_attn.in_proj_weight, in_b=self_attn.in_proj_bias, out_w=self_attn.out_proj.weight, "
     "out_b=self_attn.out_proj.bias, w1=linear1.weight, b1=linear1.bias, w2=linear2.weight, b2=linear2.bias, "
     "n1w=norm1.weight, n1b=norm1.bias, n2w=norm2.weight, n2b=norm2.bias"},
    {"leaky_relu", "y = lrelu(x)", ""},
    {"clamp", "y = clamp(x, lo=lo, hi=hi)", ""},
    {"mul_broadcast", "y = x * s", ""},
    {"div", "y = a / b", ""},
    {"ws_conv_1x1", "y = ws_conv(x, shape(y_like)[1])", "weight=weight"},
    {"ws_conv", "y = ws_conv(x, shape(y_like)[1], k=3, dilation=dilation)", "weight=weight"},
    {"sep_conv", "y = sep_conv(x, shape(y_like)[1], relu, elu)",
     "dw=dw.weight, w1=dw_bn.weight, b1=dw_bn.bias, pw=pw.weight, w2=pw_bn.weight, b2=pw_bn.bias"},
    {"ghost_module", "y = ghost_module(x, cout, act=relu)",
     "pw=primary_conv.0.weight, w1=primary_conv.1.weight, b1=primary_conv.1.bias, dw=cheap_operation.0.weight, "
     "w2=cheap_operation.1.weight, b2=cheap_operation.1.bias"},
    {"squeeze_excite", "y = squeeze_excite(x, ratio=0.5)",
     "wr=conv_reduce.weight, br=conv_reduce.bias, we=conv_expand.weight, be=conv_expand.bias"},
    {"preact_up",
     "z = relu(batch_norm(x, eps=eps) @bn)\n"
     "big = resize(z, size=[2 * shape(x)[2], 2 * shape(x)[3]], mode=bilinear, align_corners=false)\n"
     "y = ws_conv(big, shape(y_like)[1], k=3) @conv",
     "w=bn.weight, b=bn.bias, weight=conv.weight"},
    {"lpg_", "y = local_planar_guidance(x, k, max_depth=max_depth)", ""},
    {"bins", "widths, edges, centres = adaptive_bins(y, d_min=d_min, d_max=d_max)", ""},
    {"bin_depth", "y = bin_depth(logits, centres)", ""},
    {"combine", "y = sum(softmax(logits, axis=1) * preds, axes=[1], keep=true)", ""},
    {"laplacian",
     "maps = laplacian_pyramid(x, levels)\nL1 = maps[0]\nL2 = maps[1]\nL3 = maps[2]\nL4 = maps[3]\nL5 = maps[4]", ""},
    {"stem_inflate", "w5 = concat(w, slice(w, axis=1, start=0, stop=2), axis=1)\nw6 = concat(w, w, axis=1)", ""},
    {"rgb_normalise", "const m: f32[3] = mean\nconst s: f32[3] = std\ny = (x / 255 - channelwise(m)) / channelwise(s)",
     ""},
    {"silog_author", "y = silog_author(pred, gt)", ""},
    {"silog_", "y = silog(pred, gt, lambda=lambda, alpha=alpha)", ""},
    {"chamfer_",
     "k = shape(edges)[1]\n"
     "y = chamfer((slice(edges, axis=1, start=0, stop=k - 1) + slice(edges, axis=1, start=1, stop=k)) / 2, gt, "
     "form=form)",
     ""},
    {"flip_average", "y = (clamp(a, lo=lo, hi=hi) + flip(clamp(b, lo=lo, hi=hi), axis=3)) / 2", ""},
};

static const char *const unary[] = {"relu", "elu", "hard_sigmoid", "sigmoid", "tanh",
                                    "exp",  "log", "sqrt",         "sin",     "cos"};

static const Family *find_family(const char *name) {
  for (size_t i = 0; i < sizeof families / sizeof *families; i++)
    if (!strncmp(name, families[i].prefix, strlen(families[i].prefix))) return &families[i];
  return NULL;
}

static bool is_unary(const char *name) {
  for (size_t i = 0; i < sizeof unary / sizeof *unary; i++)
    if (!strcmp(name, unary[i])) return true;
  return false;
}

// The parameter path an input stands for, in `out`; false where it is a plain input.
static bool find_param(const Family *family, const char *input, Text *out) {
  if (!family) return false;
  for (const char *at = family->params; *at;) {
    size_t item = strcspn(at, ","), name = strcspn(at, "=");
    if (strlen(input) == name && !strncmp(at, input, name)) {
      text_write(out, at + name + 1, item - name - 1);
      return true;
    }
    at += item;
    at += strspn(at, ", ");
  }
  return false;
}

static void put_shape(Text *text, const cJSON *shape) {
  text_put(text, "f32[");
  const cJSON *dim;
  cJSON_ArrayForEach(dim, shape) text_printf(text, "%s%d", dim == shape->child ? "" : ", ", dim->valueint);
  text_put(text, "]");
}

static void put_attribute(Text *text, const cJSON *attr) {
  if (cJSON_IsObject(attr) || !strcmp(attr->string, "train")) return; // `train` is a keyword; see trains()
  char *value = cJSON_PrintUnformatted(attr);
  text_printf(text, "  %s = %s\n", attr->string, cJSON_IsNull(attr) ? "none" : value);
  free(value);
}

// The case as a model. `y_like` gives bodies the expected shape of y.
static void write_model(const Family *family, const cJSON *test, Text *text) {
  text_put(
      text,
      "net 1\nuse math\nuse conv\nuse ghostnet\nuse transformer\nuse depth\nuse losses\n\nmodel golden_case() {\n");
  const cJSON *item, *inputs = cJSON_GetObjectItem(test, "in"), *outputs = cJSON_GetObjectItem(test, "out");
  cJSON_ArrayForEach(item, inputs) {
    Text param = {0};
    if (!find_param(family, item->string, &param)) {
      text_printf(text, "  input %s: ", item->string);
      put_shape(text, item);
      text_put(text, "\n");
    }
    text_free(&param);
  }
  cJSON_ArrayForEach(item, cJSON_GetObjectItem(test, "attrs")) put_attribute(text, item);
  const cJSON *hidden = cJSON_GetObjectItem(inputs, "b1");
  if (hidden) text_printf(text, "  hidden = %d\n", hidden->child->valueint);
  const cJSON *y = cJSON_GetObjectItem(cJSON_GetObjectItem(outputs, "y"), "shape");
  if (cJSON_GetArraySize(y)) {
    char *shape = cJSON_PrintUnformatted(y);
    text_printf(text, "  y_like = fill(shape=%s, value=0)\n", shape);
    free(shape);
  }
  if (family) text_printf(text, "  %s\n", family->body);
  else text_printf(text, "  y = %s(x)\n", test->string);
  if (family && !strcmp(family->prefix, "conv_") && cJSON_GetObjectItem(inputs, "bias"))
    text_put(text, "  y = y + channelwise(bias)\n");
  cJSON_ArrayForEach(item, outputs) {
    if (!cJSON_GetObjectItem(inputs, item->string)) text_printf(text, "  output %s = %s\n", item->string, item->string);
  }
  text_put(text, "}\n");
}

// Adds inputs "gout/<output>" and outputs "grad/<input>" to the graph.
static bool add_gradients(const Family *family, const cJSON *test, Build *build) {
  Graph *graph = build->graph;
  Node *results[8], *seeds[8], *wrt[16], *grads[16];
  const char *names[16];
  int n_results = 0, n_wrt = 0;
  const cJSON *item;
  cJSON_ArrayForEach(item, cJSON_GetObjectItem(test, "gout")) {
    Node *result = graph_find_output(graph, item->string);
    results[n_results] = result;
    seeds[n_results++] = graph_input(graph, arena_printf(build->arena, "gout/%s", item->string), result->shape);
  }
  cJSON_ArrayForEach(item, cJSON_GetObjectItem(test, "grad")) {
    Text param = {0};
    const char *leaf = find_param(family, item->string, &param) ? text_get(&param) : item->string;
    names[n_wrt] = item->string;
    wrt[n_wrt++] = graph_find_leaf(graph, leaf);
    text_free(&param);
  }
  Diag *diag = diag_new(build->arena, 20);
  if (!grad_build_seeded(graph, results, seeds, n_results, wrt, n_wrt, grads, diag)) return false;
  for (int i = 0; i < n_wrt; i++) graph_output(graph, arena_printf(build->arena, "grad/%s", names[i]), grads[i], false);
  return true;
}

static float *read_tensor(Arena *arena, const WeightFile *file, const char *name) {
  const WeightTensor *tensor = weights_find(file, name);
  if (!tensor) return NULL;
  float *values = ARENA_ARRAY(arena, float, shape_elements(tensor->shape) + 1);
  weights_to_f32(tensor, values);
  return values;
}

static void feed(const Family *family, const cJSON *test, const WeightFile *file, Arena *arena, Exec *exec) {
  const cJSON *item;
  cJSON_ArrayForEach(item, cJSON_GetObjectItem(test, "in")) {
    const float *values = read_tensor(arena, file, arena_printf(arena, "%s/in/%s", test->string, item->string));
    Text param = {0};
    if (!values) continue;
    if (find_param(family, item->string, &param)) {
      status_free(exec_set(exec, text_get(&param), values));
    } else {
      float *input = exec_input(exec, item->string);
      const WeightTensor *tensor = weights_find(file, arena_printf(arena, "%s/in/%s", test->string, item->string));
      if (input) memcpy(input, values, (size_t)shape_elements(tensor->shape) * sizeof *values);
    }
    text_free(&param);
  }
  cJSON_ArrayForEach(item, cJSON_GetObjectItem(test, "gout")) {
    const char *name = arena_printf(arena, "%s/gout/%s", test->string, item->string);
    float *input = exec_input(exec, arena_printf(arena, "gout/%s", item->string));
    const WeightTensor *tensor = weights_find(file, name);
    if (input && tensor) weights_to_f32(tensor, input);
  }
}

// Copies results of one kind ("out" or "grad") into the writer.
static void collect(const cJSON *test, const char *part, const char *prefix, const Family *family, Arena *arena,
                    const Exec *exec, WeightWriter *writer) {
  const cJSON *item;
  cJSON_ArrayForEach(item, cJSON_GetObjectItem(test, part)) {
    Shape shape = {0};
    const cJSON *dim;
    cJSON_ArrayForEach(dim, cJSON_GetObjectItem(item, "shape")) shape.dim[shape.rank++] = dim->valueint;
    float *values = ARENA_ARRAY(arena, float, shape_elements(shape) + 1);
    const float *output = exec_output(exec, arena_printf(arena, "%s%s", prefix, item->string));
    Text param = {0};
    if (output) {
      memcpy(values, output, (size_t)shape_elements(shape) * sizeof *values);
    } else if (!find_param(family, item->string, &param)) {
      text_free(&param);
      continue;
    } else {
      status_free(exec_get(exec, text_get(&param), values)); // running statistics after the step
    }
    text_free(&param);
    weight_writer_add(writer, arena_printf(arena, "%s/%s/%s", test->string, part, item->string), WEIGHT_F32, shape,
                      values);
  }
}

// Whether batch norm runs on batch statistics in this case.
static bool trains(const cJSON *test) {
  const cJSON *train = cJSON_GetObjectItem(cJSON_GetObjectItem(test, "attrs"), "train");
  const char *doc = cJSON_GetStringValue(cJSON_GetObjectItem(test, "doc"));
  return train ? cJSON_IsTrue(train) : doc && (strstr(doc, "train mode") || strstr(doc, "BN (train"));
}

static bool run_graph_case(Golden *golden, const cJSON *test, const WeightFile *file, Arena *arena,
                           WeightWriter *writer) {
  const Family *family = is_unary(test->string) ? NULL : find_family(test->string);
  Text text = {0};
  write_model(family, test, &text);
  bool is_training = trains(test);
  Build build = golden_build(golden, test->string, text_get(&text), is_training);
  text_free(&text);
  Program *program = NULL;
  Exec *exec = NULL;
  if (build.graph && add_gradients(family, test, &build)) exec = golden_load(golden, &build, is_training, &program);
  bool is_done = exec != NULL;
  if (exec) {
    feed(family, test, file, arena, exec);
    Status status = exec_run(exec);
    if (status) {
      printf("%s: %s\n", test->string, status_message(status));
      is_done = false;
    }
    status_free(status);
    collect(test, "out", "", family, arena, exec, writer);
    collect(test, "grad", "grad/", family, arena, exec, writer);
    exec_close(exec);
    program_free(program);
  }
  arena_free(build.arena);
  return is_done;
}

static bool has_graph(const char *name) { return !golden_is_runtime_op(name) && (is_unary(name) || find_family(name)); }

void golden_ops(Golden *golden, const cJSON *index) {
  Arena *arena = arena_new();
  WeightFile *file = NULL;
  Status status = weights_open(arena_printf(arena, "%s/ops.safetensors", golden->in), &file);
  if (status) {
    printf("%s\n", status_message(status));
    status_free(status);
    golden->n_failed++;
    arena_free(arena);
    return;
  }
  WeightWriter *writer = weight_writer_new();
  const cJSON *test, *tests = cJSON_GetObjectItem(index, "ops");
  golden_gather_begin(golden);
  cJSON_ArrayForEach(test, tests) {
    if (has_graph(test->string)) run_graph_case(golden, test, file, arena, writer);
  }
  golden_gather_end(golden);
  cJSON_ArrayForEach(test, tests) {
    bool is_done;
    if (golden_is_runtime_op(test->string)) {
      is_done = golden_runtime_op(golden, test, file, arena, writer);
    } else if (has_graph(test->string)) {
      is_done = run_graph_case(golden, test, file, arena, writer);
    } else {
      printf("SKIPPED ops/%s: no such operation yet\n", test->string);
      golden->n_skipped++;
      continue;
    }
    if (is_done) golden->n_run++;
    else golden->n_failed++;
  }
  status = weight_writer_save(writer, arena_printf(arena, "%s/ops.safetensors", golden->out));
  if (status) {
    printf("%s\n", status_message(status));
    golden->n_failed++;
  }
  status_free(status);
  weights_close(file);
  arena_free(arena);
}
