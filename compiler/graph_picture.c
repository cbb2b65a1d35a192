// Picture: what of a graph is drawn. The placing is left to Graphviz, except whether an edge points down or up.
#include "compiler/graph_picture.h"

#include "runtime/base/strmap.h"

typedef struct Builder {
  Picture *picture;
  int depth;
  bool *is_drawn;   // by node id
  bool *is_claimed; // parameters that a box counts already
  int *box_of;      // by node id; -1 = none yet
  int *module_box;  // by module; -1 = none yet
  StrMap *edges;    // "from>to" -> index + 1
} Builder;

// ---- what is drawn --------------------------------------------------------------------------------------------------

static void mark_needed(const Graph *graph, bool *needed, bool with_taps) {
  for (int i = 0; i < graph->n_outputs; i++) {
    if (with_taps || !graph->outputs[i].is_tap) needed[graph->outputs[i].node->id] = true;
  }
  for (int i = graph->n_nodes - 1; i >= 0; i--) {
    const Node *node = graph->nodes[i];
    for (int k = 0; needed[i] && k < node->n_in; k++) needed[node->in[k]->id] = true;
  }
}

static bool *find_fed(const Graph *graph, Arena *arena) {
  bool *is_fed = ARENA_ARRAY(arena, bool, graph->n_nodes + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    is_fed[i] = node->op == OP_input;
    for (int k = 0; k < node->n_in; k++) is_fed[i] = is_fed[i] || is_fed[node->in[k]->id];
  }
  return is_fed;
}

static bool *find_drawn(const Graph *graph, const bool *is_fed, Arena *arena) {
  bool *drawn = ARENA_ARRAY(arena, bool, graph->n_nodes + 1);
  bool has_outputs = false, has_any = false;
  for (int i = 0; i < graph->n_outputs; i++) has_outputs = has_outputs || !graph->outputs[i].is_tap;
  mark_needed(graph, drawn, !has_outputs);
  for (int i = 0; i < graph->n_nodes; i++) has_any = has_any || (drawn[i] && is_fed[i]);
  // A graph without inputs shows all that is computed.
  for (int i = 0; i < graph->n_nodes; i++) {
    drawn[i] = drawn[i] && (has_any ? is_fed[i] : !op_is_leaf(graph->nodes[i]->op));
  }
  return drawn;
}

// ---- boxes ----------------------------------------------------------------------------------------------------------

static int add_box(Picture *picture, PictureBox box) {
  ARENA_PUSH(picture->arena, picture->boxes, picture->n_boxes, picture->cap_boxes, box);
  return picture->n_boxes - 1;
}

// Parameters behind the operands of a drawn node that no box counts yet.
static int64_t claim_parameters(Builder *builder, const Node *node) {
  int64_t n = 0;
  for (int k = 0; k < node->n_in; k++) {
    const Node *in = node->in[k];
    if (builder->is_drawn[in->id] || builder->is_claimed[in->id]) continue;
    builder->is_claimed[in->id] = true;
    n += node_cost(in).parameters + claim_parameters(builder, in);
  }
  return n;
}

static int box_for(Builder *builder, const Node *node) {
  Picture *picture = builder->picture;
  int module = picture->tree[node->module].shown;
  if (node->op == OP_input) return add_box(picture, (PictureBox){.kind = BOX_INPUT, .node = node, .module = 0});
  if (builder->depth < 0 || picture->tree[module].depth < builder->depth) {
    return add_box(picture, (PictureBox){
                                .kind = BOX_NODE,
                                .node = node,
                                .module = module,
                                .parameters = claim_parameters(builder, node),
                                .multiply_adds = node_cost(node).multiply_adds,
                            });
  }
  int folded = module_at_depth(picture->tree, module, builder->depth);
  if (builder->module_box[folded] < 0) {
    builder->module_box[folded] = add_box(picture, (PictureBox){
                                                       .kind = BOX_MODULE,
                                                       .module = folded,
                                                       .parameters = picture->tree[folded].parameters,
                                                       .multiply_adds = picture->tree[folded].multiply_adds,
                                                   });
  }
  return builder->module_box[folded];
}

static void count_inside(Picture *picture) {
  picture->n_inside = ARENA_ARRAY(picture->arena, int, picture->graph->n_modules);
  for (int i = 0; i < picture->n_boxes; i++) {
    const PictureBox *box = &picture->boxes[i];
    if (box->kind == BOX_INPUT || box->kind == BOX_OUTPUT) continue;
    for (int m = box->module;; m = picture->tree[m].parent) {
      picture->n_inside[m]++;
      if (m == 0) break;
    }
  }
}

// ---- edges ----------------------------------------------------------------------------------------------------------

static void add_edge(Builder *builder, int from, int to, const Node *value) {
  Picture *picture = builder->picture;
  const char *key = arena_printf(picture->arena, "%d>%d", from, to);
  int *index = strmap_get(builder->edges, key);
  if (!index) {
    index = ARENA_ARRAY(picture->arena, int, 1);
    *index = picture->n_edges;
    strmap_set(builder->edges, key, index);
    ARENA_PUSH(picture->arena, picture->edges, picture->n_edges, picture->cap_edges,
               ((PictureEdge){.from = from, .to = to}));
  }
  PictureEdge *edge = &picture->edges[*index];
  for (int i = 0; i < edge->n_values; i++) {
    if (edge->values[i] == value) return;
  }
  ARENA_PUSH(picture->arena, edge->values, edge->n_values, edge->cap_values, value);
  PictureBox *box = &picture->boxes[from];
  if (!box->result || box->result->id < value->id) box->result = value;
}

static void connect(Builder *builder) {
  Picture *picture = builder->picture;
  const Graph *graph = picture->graph;
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    for (int k = 0; builder->is_drawn[i] && k < node->n_in; k++) {
      const Node *in = node->in[k];
      if (!builder->is_drawn[in->id] || builder->box_of[in->id] == builder->box_of[i]) continue;
      add_edge(builder, builder->box_of[in->id], builder->box_of[i], in);
    }
  }
  for (int i = 0; i < graph->n_outputs; i++) {
    const GraphOutput *output = &graph->outputs[i];
    if (output->is_tap || !builder->is_drawn[output->node->id]) continue;
    int box = add_box(picture, (PictureBox){.kind = BOX_OUTPUT, .node = output->node, .name = output->name});
    add_edge(builder, builder->box_of[output->node->id], box, output->node);
  }
}

// ---- encoder and decoder --------------------------------------------------------------------------------------------

// Pixels of the map that leaves the box; 0 where it is none.
static int64_t map_size(const PictureBox *box) {
  const Node *value = box->kind == BOX_OUTPUT ? box->node : box->result;
  if (!value || value->shape.rank != 4) return 0;
  int64_t size = value->shape.dim[2] * value->shape.dim[3];
  return size > 1 ? size : 0;
}

// Behind the smallest map everything that has grown again is drawn upwards: an encoder and a decoder stand side by
// side as a U. Only where maps grow at least fourfold, and both ways are long enough to show it.
static void find_rise(Picture *picture) {
  int64_t least = 0, last = 0;
  for (int i = 0; i < picture->n_boxes; i++) {
    int64_t size = map_size(&picture->boxes[i]);
    if (size && (!least || size < least)) least = size;
    if (picture->boxes[i].kind == BOX_OUTPUT && size > last) last = size;
  }
  if (!least || last < 4 * least) return;
  bool *is_behind = ARENA_ARRAY(picture->arena, bool, picture->n_boxes);
  for (int i = 0; i < picture->n_boxes; i++) is_behind[i] = map_size(&picture->boxes[i]) == least;
  bool is_changed = true;
  while (is_changed) {
    is_changed = false;
    for (int i = 0; i < picture->n_edges; i++) {
      PictureEdge *edge = &picture->edges[i];
      PictureBox *to = &picture->boxes[edge->to];
      bool is_rising = picture->boxes[edge->from].is_rising || (is_behind[edge->from] && map_size(to) > least);
      if (is_behind[edge->from] && !is_behind[edge->to]) is_behind[edge->to] = is_changed = true;
      if (is_rising && !to->is_rising) to->is_rising = is_changed = true;
    }
  }
  int n_rising = 0;
  for (int i = 0; i < picture->n_boxes; i++) n_rising += picture->boxes[i].is_rising;
  int n_falling = picture->n_boxes - n_rising;
  picture->is_u = n_falling >= 8 && n_rising >= 4 && 3 * n_falling >= n_rising;
}

Picture picture_new(const Graph *graph, int depth, Arena *arena) {
  Picture picture = {.graph = graph, .arena = arena, .tree = module_tree(graph, arena)};
  picture.is_fed = find_fed(graph, arena);
  Builder builder = {
      .picture = &picture,
      .depth = depth,
      .is_drawn = find_drawn(graph, picture.is_fed, arena),
      .is_claimed = ARENA_ARRAY(arena, bool, graph->n_nodes + 1),
      .box_of = ARENA_ARRAY(arena, int, graph->n_nodes + 1),
      .module_box = ARENA_ARRAY(arena, int, graph->n_modules),
      .edges = strmap_new(arena),
  };
  for (int i = 0; i < graph->n_modules; i++) builder.module_box[i] = -1;
  for (int i = 0; i < graph->n_nodes; i++) {
    builder.box_of[i] = builder.is_drawn[i] ? box_for(&builder, graph->nodes[i]) : -1;
  }
  connect(&builder);
  count_inside(&picture);
  find_rise(&picture);
  return picture;
}
