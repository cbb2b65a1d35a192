// Event file: its framing, scalars and pictures.
#include "runtime/report/event_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/text.h"
#include "runtime/report/event_message.h"
#include "runtime/report/tensorboard.pb-c.h"

static const char prefix[] = "events.out.tfevents.";

struct EventFile {
  FILE *file;
  char *path;
  bool is_first;
};

// ---- TFRecord -------------------------------------------------------------------------------------------------------

// CRC-32C (Castagnoli), reflected, a bit at a time into a table of bytes.
static uint32_t crc32c(const uint8_t *bytes, size_t n) {
  static uint32_t table[256];
  static bool is_made;
  for (uint32_t i = 0; !is_made && i < 256; i++) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0x82F63B78u : value >> 1;
    table[i] = value;
  }
  is_made = true;
  uint32_t crc = ~0u;
  for (size_t i = 0; i < n; i++) crc = table[(crc ^ bytes[i]) & 255] ^ crc >> 8;
  return ~crc;
}

// A checksum of data that holds checksums would be weak: the format rotates it and adds a constant.
static void put_masked_crc(Text *out, const void *bytes, size_t n) {
  uint32_t crc = crc32c(bytes, n), masked = (crc >> 15 | crc << 17) + 0xA282EAD8u;
  for (int i = 0; i < 4; i++) text_write(out, &(uint8_t){(uint8_t)(masked >> 8 * i)}, 1);
}

static double wall_time(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

Status event_file_put(EventFile *file, EventMessage *event) {
  event->wall_time = wall_time();
  size_t n = tb__event__get_packed_size(event);
  uint8_t *bytes = malloc(n + 1);
  if (!bytes) BUG("out of memory");
  tb__event__pack(event, bytes);
  Text record = {0};
  for (int i = 0; i < 8; i++) text_write(&record, &(uint8_t){(uint8_t)((uint64_t)n >> 8 * i)}, 1);
  put_masked_crc(&record, record.data, 8);
  text_write(&record, bytes, n);
  put_masked_crc(&record, bytes, n);
  bool is_ok = fwrite(record.data, 1, record.size, file->file) == record.size && !fflush(file->file);
  text_free(&record);
  free(bytes);
  if (!is_ok) return status_make(EXIT_DATA, "cannot write '%s': %s", file->path, strerror(errno));
  return STATUS_OK;
}

// ---- the file -------------------------------------------------------------------------------------------------------

// The present second, or the one after that of the newest file: readers take the files in the order of their names.
// Removes those files instead where they are of no more use.
static long long file_second(const char *directory, bool is_new, bool *is_first) {
  long long second = (long long)time(NULL);
  DIR *listing = opendir(directory);
  for (struct dirent *entry; listing && (entry = readdir(listing));) {
    if (strncmp(entry->d_name, prefix, strlen(prefix))) continue;
    long long other = atoll(entry->d_name + strlen(prefix));
    if (is_new) unlinkat(dirfd(listing), entry->d_name, 0);
    else if (other >= second) second = other + 1;
    *is_first = *is_first && is_new;
  }
  if (listing) closedir(listing);
  return second;
}

static Status put_start(EventFile *file, int64_t step) {
  Tb__Event event = TB__EVENT__INIT;
  event.what_case = TB__EVENT__WHAT_FILE_VERSION;
  event.file_version = (char *)"brain.Event:2";
  TRY(event_file_put(file, &event));
  if (step == 0) return STATUS_OK;
  Tb__SessionLog start = TB__SESSION_LOG__INIT;
  start.status = TB__SESSION_LOG__STATUS__START;
  event.step = step + 1;
  event.what_case = TB__EVENT__WHAT_SESSION_LOG;
  event.session_log = &start;
  return event_file_put(file, &event);
}

Status event_file_open(const char *directory, int64_t step, EventFile **out) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  EventFile *file = calloc(1, sizeof *file);
  if (file) file->is_first = true;
  if (!file ||
      asprintf(&file->path, "%s/%s%010lld.%s.%ld", directory, prefix,
               file_second(directory, step == 0, &file->is_first), *host ? host : "localhost", (long)getpid()) < 0)
    BUG("out of memory");
  file->file = fopen(file->path, "wxe");
  Status status =
      file->file ? put_start(file, step) : status_make(EXIT_DATA, "cannot write '%s': %s", file->path, strerror(errno));
  if (status) event_file_close(file);
  else *out = file;
  return status;
}

bool event_file_is_first(const EventFile *file) { return file->is_first; }

void event_file_close(EventFile *file) {
  if (!file) return;
  if (file->file) fclose(file->file);
  free(file->path);
  free(file);
}

// ---- what is told of a step -----------------------------------------------------------------------------------------

Status event_file_scalars(EventFile *file, int64_t step, const EventScalar *scalars, int n) {
  Arena *arena = arena_new();
  Tb__Summary summary = TB__SUMMARY__INIT;
  summary.n_value = (size_t)n;
  summary.value = ARENA_ARRAY(arena, Tb__Summary__Value *, n);
  for (int i = 0; i < n; i++) {
    Tb__Summary__Value *value = summary.value[i] = EVENT_NEW(arena, SUMMARY__VALUE, Summary__Value);
    value->tag = (char *)scalars[i].tag;
    value->value_case = TB__SUMMARY__VALUE__VALUE_SIMPLE_VALUE;
    value->simple_value = (float)scalars[i].value;
  }
  Tb__Event event = TB__EVENT__INIT;
  event.step = step;
  event.what_case = TB__EVENT__WHAT_SUMMARY;
  event.summary = &summary;
  Status status = event_file_put(file, &event);
  arena_free(arena);
  return status;
}

Status event_file_image(EventFile *file, int64_t step, const char *tag, const Image *image) {
  Text png = {0};
  Status status = image_encode_png(image, &png);
  Tb__Summary__Image picture = TB__SUMMARY__IMAGE__INIT;
  picture.width = image->width;
  picture.height = image->height;
  picture.colorspace = 3;
  picture.encoded_image_string = (ProtobufCBinaryData){png.size, (uint8_t *)png.data};
  Tb__Summary__Value value = TB__SUMMARY__VALUE__INIT;
  value.tag = (char *)tag;
  value.value_case = TB__SUMMARY__VALUE__VALUE_IMAGE;
  value.image = &picture;
  Tb__Summary summary = TB__SUMMARY__INIT;
  summary.n_value = 1;
  summary.value = (Tb__Summary__Value *[]){&value};
  Tb__Event event = TB__EVENT__INIT;
  event.step = step;
  event.what_case = TB__EVENT__WHAT_SUMMARY;
  event.summary = &summary;
  if (!status) status = event_file_put(file, &event);
  text_free(&png);
  return status;
}
