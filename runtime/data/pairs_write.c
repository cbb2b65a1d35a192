// Pairs in files of our own: the manifest, read and written, and CSV lists.
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/cpu_pool.h"
#include "runtime/data/pairs.h"

static const char schema[] = "sgrun.data/1";

// ---- Reading ----

static const char *get_text(const cJSON *object, const char *key) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
  return cJSON_IsString(item) ? item->valuestring : "";
}

static int64_t get_bytes(const cJSON *object, const char *key) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
  return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 1e15 ? (int64_t)item->valuedouble : -1;
}

static Status read_entry(const char *path, int64_t index, const cJSON *entry, Pairs *out) {
  const char *rgb = get_text(entry, "rgb"), *depth = get_text(entry, "depth"), *name = get_text(entry, "name");
  Split split = SPLIT_NONE;
  if (!*rgb || !*depth)
    return status_make(EXIT_DATA, "'%s': pair %lld lacks its 'rgb' or 'depth' path", path, (long long)index);
  if (!split_find(get_text(entry, "split"), &split))
    return status_make(EXIT_DATA, "'%s': pair %lld has a split '%.40s'", path, (long long)index,
                       get_text(entry, "split"));
  char *picture = path_under(out->root, rgb), *map = path_under(out->root, depth);
  Pair *pair = pairs_add(out, *name ? name : rgb, picture, map, get_text(entry, "group"), split);
  pair->picture_bytes = get_bytes(entry, "rgb_bytes");
  pair->depth_bytes = get_bytes(entry, "depth_bytes");
  snprintf(pair->picture_hash, HASH_TEXT, "%s", get_text(entry, "rgb_hash"));
  snprintf(pair->depth_hash, HASH_TEXT, "%s", get_text(entry, "depth_hash"));
  free(picture);
  free(map);
  return STATUS_OK;
}

static Status read_root(const char *path, const cJSON *root, Pairs *out) {
  const cJSON *pairs = cJSON_GetObjectItemCaseSensitive(root, "pairs"),
              *scale = cJSON_GetObjectItemCaseSensitive(root, "depth_scale");
  if (!cJSON_IsObject(root) || strcmp(get_text(root, "schema"), schema) || !cJSON_IsArray(pairs))
    return status_make(EXIT_DATA, "'%s' is no manifest of a data set (%s)", path, schema);
  if (scale && (!cJSON_IsNumber(scale) || !(scale->valuedouble > 0 && scale->valuedouble <= 1e6)))
    return status_make(EXIT_DATA, "'%s': the depth_scale is no number of values a metre", path);
  if (scale) out->depth_scale = scale->valuedouble;
  int64_t index = 0;
  for (const cJSON *entry = pairs->child; entry; entry = entry->next) TRY(read_entry(path, index++, entry, out));
  if (out->n == 0) return status_make(EXIT_DATA, "'%s' names no pairs", path);
  return STATUS_OK;
}

Status pairs_read_manifest(const char *path, const char *text, Pairs *out) {
  cJSON *root = cJSON_Parse(text);
  Status status = read_root(path, root, out);
  cJSON_Delete(root);
  return status;
}

// ---- Writing ----

typedef struct FileFacts {
  int64_t bytes;
  char hash[HASH_TEXT];
  int width, height; // of a PNG, as its header says; 0 otherwise
} FileFacts;

typedef struct Hashing {
  const Pairs *pairs;
  FileFacts *facts; // [2 * n], picture then depth
  Status *failed;   // [2 * n]
} Hashing;

static uint32_t big_endian(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static Status read_facts(const char *path, FileFacts *out) {
  Text data = {0};
  Status status = file_read(path, &data);
  if (!status) {
    const uint8_t *bytes = (const uint8_t *)text_get(&data);
    out->bytes = (int64_t)data.size;
    hash_text(hash_bytes(bytes, data.size), out->hash);
    if (data.size >= 24 && image_is_png(bytes, data.size)) {
      out->width = (int)(big_endian(bytes + 16) & 0x7fffffff);
      out->height = (int)(big_endian(bytes + 20) & 0x7fffffff);
    }
  }
  text_free(&data);
  return status;
}

static void hash_some(void *context, int worker, int64_t begin, int64_t end) {
  (void)worker;
  Hashing *hashing = context;
  for (int64_t i = begin; i < end; i++) {
    const Pair *pair = &hashing->pairs->pair[i / 2];
    hashing->failed[i] = read_facts(i % 2 ? pair->depth : pair->picture, &hashing->facts[i]);
  }
}

static Status hash_all(const Pairs *pairs, int threads, FileFacts *facts) {
  int64_t n = 2 * pairs->n;
  Hashing hashing = {pairs, facts, calloc((size_t)n + 1, sizeof *hashing.failed)};
  if (!hashing.failed) BUG("out of memory");
  Pool *pool;
  Status status = pool_open(threads, &pool);
  if (!status) {
    pool_run(pool, hash_some, &hashing, n);
    pool_close(pool);
  }
  for (int64_t i = 0; i < n; i++) {
    if (!status) status = hashing.failed[i]; // the first of them
    else status_free(hashing.failed[i]);
  }
  free(hashing.failed);
  return status;
}

static void put_member(Text *out, const char *key, const char *value) {
  text_printf(out, ",\"%s\":", key);
  text_put_json(out, value);
}

static void put_file(Text *out, const char *key, const char *directory, const char *path, const FileFacts *facts) {
  char *relative = path_relative(directory, path);
  put_member(out, key, relative);
  text_printf(out, ",\"%s_bytes\":%lld,\"%s_hash\":\"%s\"", key, (long long)facts->bytes, key, facts->hash);
  free(relative);
}

Status pairs_write_manifest(const Pairs *pairs, const char *path, int threads) {
  FileFacts *facts = calloc(2 * (size_t)pairs->n + 1, sizeof *facts);
  if (!facts) BUG("out of memory");
  Status status = hash_all(pairs, threads, facts);
  if (!status) {
    char *directory = path_directory(path);
    double scale = pairs->depth_scale > 0 ? pairs->depth_scale : pairs->default_scale;
    Text out = {0};
    text_printf(&out, "{\"schema\":\"%s\",\"depth_unit\":\"metre\",", schema);
    if (scale > 0) text_printf(&out, "\"depth_scale\":%.17g,", scale);
    text_put(&out, "\"invalid\":0,\"hash\":\"xxh3-128\",\"pairs\":[");
    for (int64_t i = 0; i < pairs->n; i++) {
      const Pair *pair = &pairs->pair[i];
      text_put(&out, i ? ",\n{\"name\":" : "\n{\"name\":");
      text_put_json(&out, pair->name);
      put_file(&out, "rgb", directory, pair->picture, &facts[2 * i]);
      put_file(&out, "depth", directory, pair->depth, &facts[2 * i + 1]);
      if (facts[2 * i + 1].width)
        text_printf(&out, ",\"width\":%d,\"height\":%d", facts[2 * i + 1].width, facts[2 * i + 1].height);
      if (pair->split) put_member(&out, "split", split_name(pair->split));
      if (*pair->group) put_member(&out, "group", pair->group);
      text_put(&out, "}");
    }
    text_put(&out, "\n]}\n");
    status = file_write(path, out.data, out.size);
    text_free(&out);
    free(directory);
  }
  free(facts);
  return status;
}

// A field of a CSV row, quoted where it must be.
static void put_field(Text *out, const char *value) {
  if (!strpbrk(value, ",\"# \t")) {
    text_put(out, value);
    return;
  }
  text_put(out, "\"");
  for (; *value; value++) text_printf(out, *value == '"' ? "\"\"" : "%c", *value);
  text_put(out, "\"");
}

Status pairs_write_csv(const Pairs *pairs, Split split, const char *path) {
  char *directory = path_directory(path);
  double scale = pairs->depth_scale > 0 ? pairs->depth_scale : pairs->default_scale;
  Text out = {0};
  if (scale > 0) text_printf(&out, "# depth_scale=%.17g\n", scale);
  text_put(&out, "rgb,depth,split,group\n");
  for (int64_t i = 0; i < pairs->n; i++) {
    const Pair *pair = &pairs->pair[i];
    if (split && pair->split != split) continue;
    char *picture = path_relative(directory, pair->picture), *depth = path_relative(directory, pair->depth);
    put_field(&out, picture);
    text_put(&out, ",");
    put_field(&out, depth);
    text_printf(&out, ",%s,", split_name(pair->split));
    put_field(&out, pair->group);
    text_put(&out, "\n");
    free(picture);
    free(depth);
  }
  Status status = file_write(path, out.data, out.size);
  text_free(&out);
  free(directory);
  return status;
}
