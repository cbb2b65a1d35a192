// Executable graphs. A launch puts a first operation into the stream, the nodes beside it bound by their edges alone,
// and a last one into the stream that waits for all.
#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/driver_handle.h"
#include "tests/simgpu/stream_order.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ExecNode {
  Work *work;
  Context *context;
  int *after, n_after;
  int chain; // that of the first node before it which no other node has gone on from
} ExecNode;

// CUgraphExec points at it.
typedef struct Exec {
  ExecNode *nodes;
  int n_nodes;
  Op *last; // of the latest launch: launches of one exec don't overlap
} Exec;

static int chain_of(const Exec *exec, const ExecNode *node, bool *taken) {
  for (int i = 0; i < node->n_after; i++) {
    int before = node->after[i];
    if (taken[before]) continue;
    taken[before] = true;
    return exec->nodes[before].chain;
  }
  return stream_order_chain();
}

static Exec *exec_new(const Graph *graph) {
  Exec *exec = handle_new(HANDLE_EXEC, sizeof *exec);
  exec->n_nodes = graph->n_nodes;
  exec->nodes = calloc((size_t)graph->n_nodes + 1, sizeof *exec->nodes);
  bool *taken = calloc((size_t)graph->n_nodes + 1, sizeof *taken);
  for (int k = 0; k < graph->n_nodes; k++) {
    const Node *node = graph->nodes[k];
    ExecNode *copy = &exec->nodes[k];
    *copy = (ExecNode){.work = work_keep(node->work), .context = node->context, .n_after = node->n_after};
    copy->after = calloc((size_t)node->n_after + 1, sizeof *copy->after);
    for (int i = 0; i < node->n_after; i++) copy->after[i] = node->after[i]->index;
    copy->chain = chain_of(exec, copy, taken);
  }
  free(taken);
  return exec;
}

static CUresult instantiate(CUgraphExec *out_exec, CUgraph graph, unsigned long long flags) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  unsigned long long known = CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH | CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD |
                             CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY;
  if (!out_exec || !handle_is(graph, HANDLE_GRAPH) || (flags & ~known)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  *out_exec = (CUgraphExec)exec_new((const Graph *)graph);
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuGraphInstantiateWithFlags(CUgraphExec *phGraphExec, CUgraph hGraph, unsigned long long flags) {
  return instantiate(phGraphExec, hGraph, flags);
}

CUresult CUDAAPI cuGraphInstantiateWithParams(CUgraphExec *phGraphExec, CUgraph hGraph,
                                              CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams) {
  CUresult result = instantiate(phGraphExec, hGraph, instantiateParams->flags);
  instantiateParams->hErrNode_out = NULL;
  instantiateParams->result_out = result ? CUDA_GRAPH_INSTANTIATE_ERROR : CUDA_GRAPH_INSTANTIATE_SUCCESS;
  return result;
}

CUresult CUDAAPI cuGraphInstantiate_v2(CUgraphExec *phGraphExec, CUgraph hGraph, CUgraphNode *phErrorNode,
                                       char *logBuffer, size_t bufferSize) {
  if (phErrorNode) *phErrorNode = NULL;
  if (logBuffer && bufferSize) logBuffer[0] = 0;
  return instantiate(phGraphExec, hGraph, 0);
}

CUresult CUDAAPI cuGraphExecDestroy(CUgraphExec hGraphExec) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  if (!handle_is(hGraphExec, HANDLE_EXEC)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  Exec *exec = (Exec *)hGraphExec; // launched operations keep their work
  for (int k = 0; k < exec->n_nodes; k++) {
    work_release(exec->nodes[k].work);
    free(exec->nodes[k].after);
  }
  free(exec->nodes);
  op_release(exec->last);
  handle_free(exec);
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuGraphUpload(CUgraphExec hGraphExec, CUstream hStream) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  bool known = handle_is(hGraphExec, HANDLE_EXEC) && stream_of(hStream, context);
  return driver_leave(known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult CUDAAPI cuGraphLaunch(CUgraphExec hGraphExec, CUstream hStream) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  Stream *stream = stream_of(hStream, context);
  if (!stream) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
  if (!handle_is(hGraphExec, HANDLE_EXEC)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  if (stream->capture) { // would become a child graph, which is not simulated
    capture_break(stream->capture);
    return driver_leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  }
  if (stream == context->legacy && (result = capture_forbids_legacy(context))) return driver_leave(result);
  Exec *exec = (Exec *)hGraphExec;
  driver_stats.graph_launches++;
  driver_trace("graph of %d nodes launched", exec->n_nodes);
  Op *first = op_keep(stream_issue(stream, work_nothing(), &exec->last, exec->last != NULL));
  Op **ops = calloc((size_t)exec->n_nodes + 1, sizeof *ops), **after = calloc((size_t)exec->n_nodes + 1, sizeof *after);
  for (int k = 0; k < exec->n_nodes; k++) {
    const ExecNode *node = &exec->nodes[k];
    after[0] = first;
    for (int i = 0; i < node->n_after; i++) after[i] = ops[node->after[i]];
    int n = node->n_after ? node->n_after : 1;
    ops[k] = op_keep(stream_issue_apart(node->context, node->chain, work_keep(node->work), after, n));
  }
  op_release(exec->last);
  exec->last = op_keep(stream_issue(stream, work_nothing(), ops, exec->n_nodes));
  for (int k = 0; k < exec->n_nodes; k++) op_release(ops[k]);
  op_release(first);
  free(ops);
  free(after);
  return driver_leave(CUDA_SUCCESS);
}

// Finds how a graph's shape differs from the exec's.
static CUgraphExecUpdateResult compare(const Exec *exec, const Graph *graph, Node **out_node) {
  *out_node = NULL;
  if (exec->n_nodes != graph->n_nodes) return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
  for (int k = 0; k < graph->n_nodes; k++) {
    const ExecNode *old = &exec->nodes[k];
    Node *node = *out_node = graph->nodes[k];
    if (old->work->type->node != node->work->type->node) return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
    if (old->context != node->context) return CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
    if (old->n_after != node->n_after) return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    for (int i = 0; i < old->n_after; i++)
      if (old->after[i] != node->after[i]->index) return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
  }
  *out_node = NULL;
  return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

CUresult CUDAAPI cuGraphExecUpdate(CUgraphExec hGraphExec, CUgraph hGraph, CUgraphExecUpdateResultInfo *resultInfo) {
  Context *context;
  CUresult result = driver_enter(&context);
  if (result) return result;
  if (!handle_is(hGraphExec, HANDLE_EXEC) || !handle_is(hGraph, HANDLE_GRAPH) || !resultInfo)
    return driver_leave(CUDA_ERROR_INVALID_VALUE);
  Exec *exec = (Exec *)hGraphExec;
  const Graph *graph = (const Graph *)hGraph;
  Node *node;
  *resultInfo = (CUgraphExecUpdateResultInfo){.result = compare(exec, graph, &node)};
  resultInfo->errorNode = (CUgraphNode)node;
  if (resultInfo->result != CU_GRAPH_EXEC_UPDATE_SUCCESS) return driver_leave(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  for (int k = 0; k < exec->n_nodes; k++) {
    work_release(exec->nodes[k].work);
    exec->nodes[k].work = work_keep(graph->nodes[k]->work);
  }
  return driver_leave(CUDA_SUCCESS);
}
