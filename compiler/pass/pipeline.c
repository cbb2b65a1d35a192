// Pipeline: runs the list of passes, the only place that does.
#include <string.h>

#include "compiler/pass/pass.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"

typedef struct PassInfo {
  const char *name;
  PassFn *run;
} PassInfo;

static const PassInfo passes[] = {
#define PASS(name, doc) {#name, pass_##name},
    PASS_LIST(PASS)
#undef PASS
};
enum { N_PASSES = sizeof passes / sizeof *passes };

static bool is_disabled(const PipelineOptions *options, const char *name) {
  for (int i = 0; i < options->n_disabled; i++) {
    if (!strcmp(options->disabled[i], name)) return true;
  }
  return false;
}

static void verify(const Graph *graph, const char *after) {
  Text why = {0};
  if (!graph_verify(graph, &why)) BUG("after %s: %s", after, text_get(&why));
  text_free(&why);
}

static void report(const PipelineOptions *options, const Graph *graph, const char *name, bool is_changed, double took) {
  if (!options->dump) return;
  if (options->time) {
    fprintf(options->dump, "# %-8s %8.3f ms, %d nodes%s\n", name, 1e3 * took, graph->n_nodes,
            is_changed ? "" : ", unchanged");
    return;
  }
  if (!is_changed) return;
  Text text = {0};
  graph_print(graph, &text);
  fprintf(options->dump, "# after %s\n%s\n", name, text_get(&text));
  text_free(&text);
}

void pipeline_run(const PassContext *context, const PipelineOptions *options, Graph *graph) {
#ifdef NDEBUG
  const bool is_debug = false;
#else
  const bool is_debug = true;
#endif
  if (is_debug) verify(graph, "no pass");
  for (int i = 0; i < N_PASSES; i++) {
    if (!is_disabled(options, passes[i].name)) {
      double start = clock_seconds();
      bool is_changed = passes[i].run(context, graph);
      double took = clock_seconds() - start;
      if (is_debug) verify(graph, passes[i].name);
      report(options, graph, passes[i].name, is_changed, took);
    }
    if (options->stop_after && !strcmp(options->stop_after, passes[i].name)) break;
  }
  if (!is_debug) verify(graph, "the passes");
}

bool pipeline_has(const char *name) {
  for (int i = 0; i < N_PASSES; i++) {
    if (!strcmp(passes[i].name, name)) return true;
  }
  return false;
}
