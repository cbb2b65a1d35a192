#include "tests/simgpu/driver_graph.h"
#include "tests/simgpu/driver_handle.h"
#include <stdlib.h>
#include <string.h>

Graph *graph_new(void) { return handle_new(HANDLE_GRAPH, sizeof(Graph)); }

Node *graph_add(Graph *graph, Context *context, Work *work, Node *const *after, int n_after) {
  Node *node = handle_new(HANDLE_NODE, sizeof *node);
  *node = (Node){.graph = graph, .context = context, .work = work, .n_after = n_after, .index = graph->n_nodes};
  if (n_after) {
    node->after = malloc(sizeof *node->after * (size_t)n_after);
    memcpy(node->after, after, sizeof *node->after * (size_t)n_after);
  }
  graph->nodes = realloc(graph->nodes, sizeof *graph->nodes * (size_t)(graph->n_nodes + 1));
  if (!graph->nodes) abort();
  graph->nodes[graph->n_nodes++] = node;
  return node;
}

void graph_free(Graph *graph) {
  for (int k = 0; k < graph->n_nodes; k++) {
    work_release(graph->nodes[k]->work);
    free(graph->nodes[k]->after);
    handle_free(graph->nodes[k]);
  }
  free(graph->nodes);
  handle_free(graph);
}

CUresult CUDAAPI cuGraphCreate(CUgraph *phGraph, unsigned int flags) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  if (!phGraph || flags) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  *phGraph = (CUgraph)graph_new();
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuGraphDestroy(CUgraph hGraph) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  if (!handle_is(hGraph, HANDLE_GRAPH)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  graph_free((Graph *)hGraph);
  return driver_leave(CUDA_SUCCESS);
}

// Gives as many of the nodes that `wanted` accepts as there is room for, or their number if there is no array.
static CUresult list_nodes(CUgraph hGraph, bool (*wanted)(const Node *node), CUgraphNode *nodes, size_t *numNodes) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  if (!handle_is(hGraph, HANDLE_GRAPH) || !numNodes) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  const Graph *graph = (const Graph *)hGraph;
  size_t n = 0;
  for (int k = 0; k < graph->n_nodes; k++) {
    if (wanted && !wanted(graph->nodes[k])) continue;
    if (nodes && n < *numNodes) nodes[n] = (CUgraphNode)graph->nodes[k];
    n++;
  }
  if (nodes)
    for (size_t k = n; k < *numNodes; k++) nodes[k] = NULL;
  *numNodes = nodes && *numNodes < n ? *numNodes : n;
  return driver_leave(CUDA_SUCCESS);
}

static bool is_root(const Node *node) { return node->n_after == 0; }

CUresult CUDAAPI cuGraphGetNodes(CUgraph hGraph, CUgraphNode *nodes, size_t *numNodes) {
  return list_nodes(hGraph, NULL, nodes, numNodes);
}

CUresult CUDAAPI cuGraphGetRootNodes(CUgraph hGraph, CUgraphNode *rootNodes, size_t *numRootNodes) {
  return list_nodes(hGraph, is_root, rootNodes, numRootNodes);
}

CUresult CUDAAPI cuGraphGetEdges(CUgraph hGraph, CUgraphNode *from, CUgraphNode *to, CUgraphEdgeData *edgeData,
                                 size_t *numEdges) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  if (!handle_is(hGraph, HANDLE_GRAPH) || !numEdges || !from != !to) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  const Graph *graph = (const Graph *)hGraph;
  size_t n = 0;
  for (int k = 0; k < graph->n_nodes; k++)
    for (int i = 0; i < graph->nodes[k]->n_after; i++, n++) {
      if (!from || n >= *numEdges) continue;
      from[n] = (CUgraphNode)graph->nodes[k]->after[i];
      to[n] = (CUgraphNode)graph->nodes[k];
      if (edgeData) memset(&edgeData[n], 0, sizeof edgeData[n]);
    }
  *numEdges = from && *numEdges < n ? *numEdges : n;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuGraphNodeGetType(CUgraphNode hNode, CUgraphNodeType *type) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  if (!handle_is(hNode, HANDLE_NODE) || !type) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  *type = ((const Node *)hNode)->work->type->node;
  return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuGraphNodeGetDependencies(CUgraphNode hNode, CUgraphNode *dependencies, CUgraphEdgeData *edgeData,
                                            size_t *numDependencies) {
  CUresult result = driver_enter(NULL);
  if (result) return result;
  if (!handle_is(hNode, HANDLE_NODE) || !numDependencies) return driver_leave(CUDA_ERROR_INVALID_VALUE);
  const Node *node = (const Node *)hNode;
  size_t n = (size_t)node->n_after, room = dependencies ? *numDependencies : 0;
  for (size_t k = 0; k < room; k++) dependencies[k] = k < n ? (CUgraphNode)node->after[k] : NULL;
  if (edgeData) memset(edgeData, 0, sizeof *edgeData * (room < n ? room : n));
  *numDependencies = dependencies && room < n ? room : n;
  return driver_leave(CUDA_SUCCESS);
}
