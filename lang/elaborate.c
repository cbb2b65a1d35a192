// elaborate: evaluates a model into a Graph: frames, limits and the run as a whole.
#include "lang/elaborate.h"

#include <string.h>

// ---- frames -----------------------------------------------------------------------------------------------------

const char *path_join(Arena *arena, const char *path, const char *name) {
  return *path ? arena_printf(arena, "%s.%s", path, name) : name;
}

Frame *frame_new(Elab *el, Frame *caller, const Decl *decl, const char *path, SrcLoc call) {
  Frame *frame = ARENA_ARRAY(el->arena, Frame, 1);
  frame->instance = (Instance){caller ? &caller->instance : NULL, decl->name.text, path, call};
  frame->caller = caller;
  frame->decl = decl;
  frame->source = decl->source;
  frame->names = strmap_new(el->arena);
  frame->dimensions = strmap_new(el->arena);
  if (caller) frame->module = graph_module(el->graph, decl->name.text, path, caller->module, call);
  return frame;
}

bool frame_is_training(const Elab *el, const Frame *frame) { return el->options->is_training && !frame->is_frozen; }

Binding *frame_bind(Elab *el, Frame *frame, const char *name, Value value, SrcLoc loc) {
  Binding *binding = strmap_get(frame->names, name);
  if (!binding) {
    binding = ARENA_ARRAY(el->arena, Binding, 1);
    strmap_set(frame->names, name, binding);
  }
  *binding = (Binding){.value = value, .loc = loc};
  return binding;
}

void frame_bind_dimension(Elab *el, Frame *frame, const char *name, Value value, SrcLoc loc) {
  Binding *binding = frame_bind(el, frame, name, value, loc);
  strmap_set(frame->dimensions, name, arena_memdup(el->arena, binding, sizeof *binding));
}

Binding *frame_find(const Frame *frame, const char *name) { return strmap_get(frame->names, name); }

void elab_at(Elab *el, const Frame *frame, SrcLoc loc) {
  el->graph->at_loc = loc;
  el->graph->at_module = frame->module;
}

void elab_stop(Elab *el, const Frame *frame, SrcLoc loc, const char *text, const char *hint) {
  if (el->is_stopped) return;
  el->is_stopped = true;
  ERROR(el, frame, loc, "%s", text);
  if (hint) HINT(el, "%s", hint);
}

// ---- bindings from outside ----------------------------------------------------------------------------------------

// Names that a binding may have: the static parameters and the free dimensions.
static bool check_bindings(Elab *el, const LangModel *model) {
  const LangOptions *options = el->options;
  int n_names = model->n_parameters + model->n_dimensions;
  const char **names = ARENA_ARRAY(el->arena, const char *, n_names);
  for (int i = 0; i < model->n_parameters; i++) names[i] = model->parameters[i].name;
  for (int i = 0; i < model->n_dimensions; i++) names[model->n_parameters + i] = model->dimensions[i];
  bool is_good = true;
  for (int b = 0; b < options->n_bindings; b++) {
    const char *name = options->bindings[b].name;
    bool is_known = false;
    for (int i = 0; i < n_names; i++) is_known |= !strcmp(names[i], name);
    if (is_known) continue;
    is_good = false;
    ERROR(el, (Frame *)NULL, (SrcLoc){0}, "model '%s' has no parameter or dimension '%s'", model->name, name);
    const char *near = nearest_name(name, names, n_names);
    if (near) {
      HINT(el, "did you mean '%s'?", near);
      continue;
    }
    const char *list = NULL;
    for (int i = 0; i < n_names; i++) list = list ? arena_printf(el->arena, "%s, %s", list, names[i]) : names[i];
    HINT(el, "it has %s", list ? list : "none");
  }
  return is_good;
}

static const LangBinding *find_binding(const Elab *el, const char *name) {
  const LangBinding *found = NULL;
  for (int i = 0; i < el->options->n_bindings; i++)
    if (!strcmp(el->options->bindings[i].name, name)) found = &el->options->bindings[i];
  return found;
}

bool elab_binding(Elab *el, const char *name, Value *out) {
  const LangBinding *binding = find_binding(el, name);
  if (!binding) return false;
  if (value_parse(el->arena, binding->value, out)) return true;
  *out = VALUE_POISONED;
  ERROR(el, (Frame *)NULL, (SrcLoc){0}, "'%s' is not a value for '%s'", binding->value, name);
  HINT(el, "values are written 480, 0.5, true, none, rgbd or [1, 2]");
  return true;
}

// A parameter takes a value of the kind that its default has; an integer serves for a fraction.
static void check_kind(Elab *el, const Param *param, Value given, Value fallback) {
  bool is_same = given.kind == fallback.kind || (fallback.kind == VALUE_FLOAT && given.kind == VALUE_INT);
  bool is_open = fallback.kind == VALUE_NONE || given.kind == VALUE_NONE || fallback.kind == VALUE_POISON;
  if (is_same || is_open || given.kind == VALUE_POISON) return;
  ERROR(el, (Frame *)NULL, (SrcLoc){0}, "parameter '%s' wants %s, not %s", param->name.text,
        value_kind_text(el->arena, fallback), value_text(el->arena, given));
  NOTE(el, param->name.loc, "declared here with the default %s", value_text(el->arena, fallback));
}

static void bind_parameters(Elab *el, Frame *frame) {
  for (int i = 0; i < frame->decl->params.n; i++) {
    const Param *param = &frame->decl->params.items[i];
    Value value = VALUE_POISONED, fallback = VALUE_POISONED;
    bool is_given = elab_binding(el, param->name.text, &value);
    if (param->fallback) fallback = eval(el, frame, param->fallback);
    if (is_given && param->fallback) {
      check_kind(el, param, value, fallback);
    } else if (!is_given && !param->fallback) {
      ERROR(el, frame, param->name.loc, "parameter '%s' of model '%s' has no value", param->name.text,
            frame->decl->name.text);
      HINT(el, "give it one: --arg %s=VALUE", param->name.text);
    }
    frame_bind(el, frame, param->name.text, is_given ? value : fallback, param->name.loc);
  }
}

// ---- the run ----------------------------------------------------------------------------------------------------

// Inputs that nothing uses for the given static values are not part of the graph.
static void drop_unused_inputs(Graph *graph) {
  int *uses = graph_count_uses(graph, graph->arena), n = 0;
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    if (node->op == OP_input && !uses[node->id]) continue;
    graph->nodes[n++] = node;
  }
  graph->n_nodes = n;
}

Graph *lang_elaborate(LangFile *file, const LangOptions *options, Diag *diag) {
  int n_before = diag_errors(diag);
  const Decl *decl = model_find(file, options->model, diag);
  if (!decl) return NULL;
  Elab el = {
      .arena = file->arena,
      .file = file,
      .options = options,
      .report = report_new(file->arena, diag),
      .graph = graph_new(file->arena, decl->name.text),
      .leaves = strmap_new(file->arena),
      .constants = strmap_new(file->arena),
  };
  LangModel model = model_describe(file, decl, diag);
  if (!check_bindings(&el, &model)) {
    report_flush(&el.report);
    return NULL;
  }
  el.graph->modules[0].loc = decl->name.loc;
  Frame *frame = frame_new(&el, NULL, decl, "", decl->name.loc);
  frame->is_model = true;
  bind_parameters(&el, frame);
  if (check_constraints(&el, frame, &decl->where)) run_block(&el, frame, &decl->body);
  const Decl *train = scope_find_train(file, decl);
  if (options->with_loss && diag_errors(diag) == n_before) {
    if (train) {
      elaborate_loss(&el, frame, train);
    } else {
      ERROR(&el, frame, decl->name.loc, "model '%s' has no train block to take a loss from", decl->name.text);
      HINT(&el, "write `train %s { target ...  loss ... }`", decl->name.text);
    }
  }
  report_flush(&el.report);
  if (diag_errors(diag) > n_before) return NULL;
  drop_unused_inputs(el.graph);
  graph_sort(el.graph);
  return el.graph;
}
