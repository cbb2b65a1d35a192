// Summary: the module tree of a graph with shapes, parameters and multiply-adds, for `sgc summary`.
#ifndef SG_GRAPH_SUMMARY_H
#define SG_GRAPH_SUMMARY_H

#include "compiler/graph.h"

typedef struct SummaryRow {
  int module;       // index in Graph.modules
  int depth;        // 0 is the model itself
  const char *path; // instance path, "" for the model; lent by the graph
  const char *name; // the module's name
  Shape shape;      // of the module's last value that is used outside; has_shape false if there is none
  bool has_shape;
  int n_children;                           // module instances directly inside, shown or not
  int64_t own_parameters, parameters;       // of the module alone, and with everything inside
  int64_t own_multiply_adds, multiply_adds; // likewise
} SummaryRow;

typedef struct GraphSummary {
  SummaryRow *rows; // parents before children, otherwise in the order of first use
  int n_rows;
  int64_t parameters;    // elements of all parameters that the rule counts
  int64_t states;        // elements of all states
  int64_t multiply_adds; // of one run, by the rule
  int64_t activations;   // elements of all computed values
} GraphSummary;

typedef enum CountRule {
  COUNT_ALL, // every parameter, and every multiply-add that is done
  // As torchinfo 1.5.2 counts PyTorch's modules, for comparison with published figures: only what instances without
  // instances inside own, those within attention left out; parameters times output positions for a convolution, times
  // the first axis of the output for everything else (PyTorch's transformers keep tokens [S, N, E]).
  COUNT_TORCHINFO,
} CountRule;

// Rows down to `depth` (-1 = all; 0 = the model alone). Everything lives in `arena`.
GraphSummary graph_summary(const Graph *graph, int depth, CountRule rule, Arena *arena);

// "4,266,246"; and with three digits and a unit: "432", "4.27 M", "1.66 G". `out` is returned.
enum { COUNT_TEXT = 32 };
const char *count_text(int64_t count, char out[COUNT_TEXT]);
const char *count_short(int64_t count, char out[COUNT_TEXT]);

#endif
