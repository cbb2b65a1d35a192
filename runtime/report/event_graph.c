// The drawing of the model in an event file: a GraphDef whose nodes are the graph's.
#include <string.h>

#include "runtime/base/text.h"
#include "runtime/report/event_message.h"
#include "runtime/report/tensorboard.pb-c.h"

static ProtobufCBinaryData bytes_of(const char *text) {
  return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static Tb__TensorShape *shape_message(Arena *arena, Shape shape) {
  Tb__TensorShape *message = EVENT_NEW(arena, TENSOR_SHAPE, TensorShape);
  message->n_dim = (size_t)shape.rank;
  message->dim = ARENA_ARRAY(arena, Tb__TensorShape__Dim *, shape.rank);
  for (int i = 0; i < shape.rank; i++) {
    message->dim[i] = EVENT_NEW(arena, TENSOR_SHAPE__DIM, TensorShape__Dim);
    message->dim[i]->size = shape.dim[i];
  }
  return message;
}

static Tb__NodeDef__AttrEntry *attribute(Arena *arena, const char *key, Tb__AttrValue *value) {
  Tb__NodeDef__AttrEntry *entry = EVENT_NEW(arena, NODE_DEF__ATTR_ENTRY, NodeDef__AttrEntry);
  entry->key = (char *)key;
  entry->value = value;
  return entry;
}

static Tb__NodeDef *node_message(Arena *arena, const EventNode *node) {
  Tb__NodeDef *message = EVENT_NEW(arena, NODE_DEF, NodeDef);
  message->name = (char *)node->name;
  message->op = (char *)node->op;
  message->n_input = (size_t)node->n_inputs;
  message->input = ARENA_ARRAY(arena, char *, node->n_inputs);
  for (int i = 0; i < node->n_inputs; i++) message->input[i] = (char *)node->inputs[i];
  message->attr = ARENA_ARRAY(arena, Tb__NodeDef__AttrEntry *, 2);
  Tb__AttrValue *shapes = EVENT_NEW(arena, ATTR_VALUE, AttrValue); // what the page writes on the edges
  shapes->value_case = TB__ATTR_VALUE__VALUE_LIST;
  shapes->list = EVENT_NEW(arena, ATTR_VALUE__SHAPE_LIST, AttrValue__ShapeList);
  shapes->list->n_shape = 1;
  shapes->list->shape = ARENA_ARRAY(arena, Tb__TensorShape *, 1);
  shapes->list->shape[0] = shape_message(arena, node->shape);
  message->attr[message->n_attr++] = attribute(arena, "_output_shapes", shapes);
  if (node->text) {
    Tb__AttrValue *text = EVENT_NEW(arena, ATTR_VALUE, AttrValue);
    text->value_case = TB__ATTR_VALUE__VALUE_S;
    text->s = bytes_of(node->text);
    message->attr[message->n_attr++] = attribute(arena, "source", text);
  }
  return message;
}

Status event_file_graph(EventFile *file, const EventNode *nodes, int n) {
  Arena *arena = arena_new();
  Tb__GraphDef graph = TB__GRAPH_DEF__INIT;
  Tb__GraphDef__Versions versions = TB__GRAPH_DEF__VERSIONS__INIT;
  versions.producer = 22;
  graph.versions = &versions;
  graph.n_node = (size_t)n;
  graph.node = ARENA_ARRAY(arena, Tb__NodeDef *, n);
  for (int i = 0; i < n; i++) graph.node[i] = node_message(arena, &nodes[i]);
  size_t size = tb__graph_def__get_packed_size(&graph);
  uint8_t *bytes = arena_alloc(arena, size + 1);
  tb__graph_def__pack(&graph, bytes);
  Tb__Event event = TB__EVENT__INIT;
  event.what_case = TB__EVENT__WHAT_GRAPH_DEF;
  event.graph_def = (ProtobufCBinaryData){size, bytes};
  Status status = event_file_put(file, &event);
  arena_free(arena);
  return status;
}
