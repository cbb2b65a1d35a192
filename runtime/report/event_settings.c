// The settings in an event file: a table of text, and what the page that compares runs wants to know.
#include <cjson/cJSON.h>
#include <string.h>
#include <time.h>

#include "runtime/base/text.h"
#include "runtime/report/event_message.h"
#include "runtime/report/tensorboard.pb-c.h"

// An event with one value that a plugin of TensorBoard reads: its own message, or a tensor of one text.
static Status put_plugin(EventFile *file, const char *tag, const char *plugin, const void *content, size_t size,
                         const char *text) {
  Tb__SummaryMetadata__PluginData data = TB__SUMMARY_METADATA__PLUGIN_DATA__INIT;
  data.plugin_name = (char *)plugin;
  data.content = (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)content};
  Tb__SummaryMetadata metadata = TB__SUMMARY_METADATA__INIT;
  metadata.plugin_data = &data;
  metadata.data_class = TB__SUMMARY_METADATA__DATA_CLASS__TENSOR;
  ProtobufCBinaryData string = {text ? strlen(text) : 0, (uint8_t *)(uintptr_t)text};
  Tb__TensorShape shape = TB__TENSOR_SHAPE__INIT;
  Tb__Tensor tensor = TB__TENSOR__INIT;
  tensor.dtype = text ? TB__TENSOR__TYPE__STRING : TB__TENSOR__TYPE__FLOAT;
  tensor.tensor_shape = &shape;
  tensor.n_string_val = text != NULL;
  tensor.string_val = &string;
  Tb__Summary__Value value = TB__SUMMARY__VALUE__INIT;
  value.tag = (char *)tag;
  value.metadata = &metadata;
  value.value_case = TB__SUMMARY__VALUE__VALUE_TENSOR;
  value.tensor = &tensor;
  Tb__Summary summary = TB__SUMMARY__INIT;
  summary.n_value = 1;
  summary.value = (Tb__Summary__Value *[]){&value};
  Tb__Event event = TB__EVENT__INIT;
  event.what_case = TB__EVENT__WHAT_SUMMARY;
  event.summary = &summary;
  return event_file_put(file, &event);
}

static Status put_hparams(EventFile *file, Arena *arena, const char *tag, Tb__HParams *hparams) {
  size_t size = tb__hparams__get_packed_size(hparams);
  uint8_t *bytes = arena_alloc(arena, size + 1);
  tb__hparams__pack(hparams, bytes);
  return put_plugin(file, tag, "hparams", bytes, size, NULL);
}

// A setting as text: what is neither number nor text (a list) as JSON.
static const char *setting_text(Arena *arena, const cJSON *item) {
  if (cJSON_IsString(item)) return item->valuestring;
  if (cJSON_IsNumber(item)) return arena_printf(arena, "%g", item->valuedouble);
  char *json = cJSON_PrintUnformatted(item);
  const char *copy = arena_strdup(arena, json ? json : "");
  cJSON_free(json);
  return copy;
}

static Status put_experiment(EventFile *file, Arena *arena, const cJSON *settings, const char *const *tags,
                             int n_tags) {
  Tb__Experiment experiment = TB__EXPERIMENT__INIT;
  experiment.time_created_secs = (double)time(NULL);
  experiment.hparam_infos = ARENA_ARRAY(arena, Tb__Experiment__HParam *, cJSON_GetArraySize(settings));
  const cJSON *item;
  cJSON_ArrayForEach(item, settings) {
    Tb__Experiment__HParam *info = EVENT_NEW(arena, EXPERIMENT__HPARAM, Experiment__HParam);
    info->name = item->string;
    info->type = cJSON_IsNumber(item) ? TB__EXPERIMENT__HPARAM__TYPE__FLOAT64 : TB__EXPERIMENT__HPARAM__TYPE__STRING;
    experiment.hparam_infos[experiment.n_hparam_infos++] = info;
  }
  experiment.metric_infos = ARENA_ARRAY(arena, Tb__Experiment__Metric *, n_tags);
  for (int i = 0; i < n_tags; i++) {
    Tb__Experiment__Metric *info = EVENT_NEW(arena, EXPERIMENT__METRIC, Experiment__Metric);
    info->name = EVENT_NEW(arena, EXPERIMENT__METRIC_NAME, Experiment__MetricName);
    info->name->tag = (char *)tags[i];
    experiment.metric_infos[experiment.n_metric_infos++] = info;
  }
  Tb__HParams hparams = TB__HPARAMS__INIT;
  hparams.data_case = TB__HPARAMS__DATA_EXPERIMENT;
  hparams.experiment = &experiment;
  return put_hparams(file, arena, "_hparams_/experiment", &hparams);
}

static Status put_session(EventFile *file, Arena *arena, const cJSON *settings) {
  Tb__SessionStart session = TB__SESSION_START__INIT;
  session.start_time_secs = (double)time(NULL);
  session.hparams = ARENA_ARRAY(arena, Tb__SessionStart__Entry *, cJSON_GetArraySize(settings));
  const cJSON *item;
  cJSON_ArrayForEach(item, settings) {
    Tb__SessionStart__Entry *entry = EVENT_NEW(arena, SESSION_START__ENTRY, SessionStart__Entry);
    entry->key = item->string;
    entry->value = EVENT_NEW(arena, SESSION_START__VALUE, SessionStart__Value);
    if (cJSON_IsNumber(item)) {
      entry->value->kind_case = TB__SESSION_START__VALUE__KIND_NUMBER_VALUE;
      entry->value->number_value = item->valuedouble;
    } else {
      entry->value->kind_case = TB__SESSION_START__VALUE__KIND_STRING_VALUE;
      entry->value->string_value = (char *)setting_text(arena, item);
    }
    session.hparams[session.n_hparams++] = entry;
  }
  Tb__HParams hparams = TB__HPARAMS__INIT;
  hparams.data_case = TB__HPARAMS__DATA_SESSION_START_INFO;
  hparams.session_start_info = &session;
  return put_hparams(file, arena, "_hparams_/session_start_info", &hparams);
}

Status event_file_settings(EventFile *file, const char *json, const char *const *tags, int n_tags) {
  cJSON *settings = cJSON_Parse(json);
  if (!cJSON_IsObject(settings)) BUG("settings are no JSON object: %s", json);
  Arena *arena = arena_new();
  Text table = {0};
  text_put(&table, "| setting | value |\n|---|---|\n"); // the page reads Markdown
  const cJSON *item;
  cJSON_ArrayForEach(item, settings) text_printf(&table, "| %s | %s |\n", item->string, setting_text(arena, item));
  Status status = put_plugin(file, "settings", "text", "", 0, text_get(&table));
  if (!status) status = put_experiment(file, arena, settings, tags, n_tags);
  if (!status) status = put_session(file, arena, settings);
  text_free(&table);
  arena_free(arena);
  cJSON_Delete(settings);
  return status;
}

Status event_file_end(EventFile *file, bool is_done) {
  Arena *arena = arena_new();
  Tb__SessionEnd session = TB__SESSION_END__INIT;
  session.status = is_done ? TB__SESSION_END__STATUS__SUCCESS : TB__SESSION_END__STATUS__FAILURE;
  session.end_time_secs = (double)time(NULL);
  Tb__HParams hparams = TB__HPARAMS__INIT;
  hparams.data_case = TB__HPARAMS__DATA_SESSION_END_INFO;
  hparams.session_end_info = &session;
  Status status = put_hparams(file, arena, "_hparams_/session_end_info", &hparams);
  arena_free(arena);
  return status;
}
