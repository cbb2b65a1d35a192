// Frames: finds where each picture of a stream ends without waiting for the next one.
#include "runtime/data/frames.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/data/image_codec.h"

// One frame may not claim more: raw 16-bit frames of the largest picture are 720 MB.
static const size_t max_frame = 768 << 20;
enum { CHUNK = 1 << 18, POLL_MS = 100, NAME = 32 };

struct FrameStream {
  int fd, raw_width, raw_height;
  const volatile sig_atomic_t *stop;
  uint8_t *bytes; // from the start of the present frame on
  size_t size, capacity;
  size_t at;      // where the search for the frame's end goes on
  size_t segment; // JPEG: where the last segment before `at` begins
  bool in_scan;   // JPEG: `at` is within compressed data
  int64_t count, position;
};

FrameStream *frames_open(int fd, int raw_width, int raw_height, const volatile sig_atomic_t *stop) {
  FrameStream *stream = calloc(1, sizeof *stream);
  if (!stream) BUG("out of memory");
  *stream = (FrameStream){.fd = fd, .raw_width = raw_width, .raw_height = raw_height, .stop = stop};
  return stream;
}

void frames_close(FrameStream *stream) {
  if (!stream) return;
  free(stream->bytes);
  free(stream);
}

int64_t frames_count(const FrameStream *stream) { return stream->count; }

// Appends what has come, waiting for the first byte. *out_end at the end of the stream or when asked to stop.
static Status more(FrameStream *stream, bool *out_end) {
  if (stream->size + CHUNK > stream->capacity) {
    size_t capacity = stream->size + stream->size / 2 + CHUNK;
    uint8_t *bytes = stream->size > max_frame ? NULL : realloc(stream->bytes, capacity);
    *out_end = !bytes;
    if (!bytes)
      return status_make(EXIT_DATA, "frame %lld of the stream is too big: %zu bytes and no end",
                         (long long)stream->count + 1, stream->size);
    stream->bytes = bytes;
    stream->capacity = capacity;
  }
  for (;;) {
    // The wait ends now and then, so that a request to stop which came just before it is not missed.
    struct pollfd wait = {.fd = stream->fd, .events = POLLIN};
    int ready = poll(&wait, 1, POLL_MS);
    *out_end = stream->stop && *stream->stop;
    if (*out_end) return STATUS_OK;
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    ssize_t n = read(stream->fd, stream->bytes + stream->size, stream->capacity - stream->size);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    *out_end = n <= 0;
    if (n < 0) return status_make(EXIT_DATA, "cannot read the stream: %s", strerror(errno));
    stream->size += (size_t)n;
    return STATUS_OK;
  }
}

static void drop(FrameStream *stream, size_t n) {
  stream->size -= n;
  memmove(stream->bytes, stream->bytes + n, stream->size);
  stream->position += (int64_t)n;
  stream->at = stream->segment = 0;
  stream->in_scan = false;
}

// The length of the JPEG at the start of the bytes, or 0 while its end has not come (ITU-T T.81, B.1.1). Segments are
// stepped over by their lengths: a thumbnail within one has an end marker of its own.
static size_t jpeg_length(FrameStream *stream) {
  const uint8_t *bytes = stream->bytes;
  if (stream->at < 2) stream->at = 2;
  while (stream->at + 2 <= stream->size) {
    size_t at = stream->at;
    if (!stream->in_scan && bytes[at] != 0xff) { // the picture was cut within a segment: the next one is in its place
      const uint8_t *next = memmem(bytes + stream->segment, stream->size - stream->segment, "\xff\xd8\xff", 3);
      if (next) return (size_t)(next - bytes);
      stream->in_scan = true;
    }
    if (stream->in_scan) {
      const uint8_t *marker = memchr(bytes + at, 0xff, stream->size - at - 1);
      stream->at = marker ? (size_t)(marker - bytes) : stream->size - 1;
      if (!marker) return 0;
      stream->in_scan = marker[1] == 0x00 || (marker[1] >= 0xd0 && marker[1] <= 0xd7);
      if (stream->in_scan) stream->at += 2;
      continue;
    }
    int kind = bytes[at + 1];
    if (kind == 0xd9) return at + 2;
    if (kind == 0xd8) return at; // the next picture begins within this one, which is broken
    if (kind == 0xff) {
      stream->at += 1;
    } else if (kind == 0x00 || kind == 0x01 || (kind >= 0xd0 && kind <= 0xd7)) {
      stream->at += 2;
    } else {
      if (at + 4 > stream->size) return 0;
      stream->segment = at + 2;
      stream->at += 2 + ((size_t)bytes[at + 2] << 8 | bytes[at + 3]);
      stream->in_scan = kind == 0xda;
    }
  }
  return 0;
}

// The same of a PNG: chunks of known length up to IEND.
static size_t png_length(FrameStream *stream) {
  if (stream->at < 8) stream->at = 8;
  while (stream->at + 12 <= stream->size) {
    const uint8_t *chunk = stream->bytes + stream->at;
    size_t length = (size_t)chunk[0] << 24 | (size_t)chunk[1] << 16 | (size_t)chunk[2] << 8 | chunk[3];
    stream->at += 12 + length;
    if (!memcmp(chunk + 4, "IEND", 4)) return stream->at;
  }
  return 0;
}

// Whether the bytes can be the beginning of a picture; undecided while they are few.
static bool may_begin(const uint8_t *bytes, size_t size) {
  static const char *const starts[] = {"P6", "\xff\xd8\xff", "\x89PNG\r\n\x1a\n"};
  for (int i = 0; i < 3; i++) {
    size_t n = strlen(starts[i]);
    if (!memcmp(bytes, starts[i], size < n ? size : n)) return true;
  }
  return false;
}

// The length of the frame at the start of the bytes, once all of it is there; 0 = more is needed.
static Status frame_length(FrameStream *stream, const char *name, size_t *out) {
  *out = 0;
  size_t raw = 3 * (size_t)stream->raw_width * (size_t)stream->raw_height;
  if (raw) {
    if (stream->size >= raw) *out = raw;
  } else if (stream->size < 8) {
    return STATUS_OK;
  } else if (image_is_jpeg(stream->bytes, stream->size)) {
    *out = jpeg_length(stream);
  } else if (image_is_png(stream->bytes, stream->size)) {
    *out = png_length(stream);
  } else {
    PpmHeader header;
    TRY(ppm_header(name, stream->bytes, stream->size, &header));
    if (header.size && stream->size >= header.size) *out = header.size;
  }
  return STATUS_OK;
}

// Drops what may stand between pictures: padding, line ends, and the lines of a multipart stream between JPEGs.
// False if no picture begins where one must.
static bool skip_to_frame(FrameStream *stream) {
  size_t n = 0;
  if (stream->raw_width) return true;
  while (n < stream->size && (stream->bytes[n] == 0 || isspace(stream->bytes[n]))) n++;
  if (n) drop(stream, n);
  if (!stream->size || may_begin(stream->bytes, stream->size)) return true;
  const uint8_t *jpeg = memmem(stream->bytes, stream->size, "\xff\xd8\xff", 3);
  if (jpeg) drop(stream, (size_t)(jpeg - stream->bytes));
  return jpeg || stream->size < 1024;
}

static Status not_a_frame(const FrameStream *stream, const char *name) {
  return status_make(EXIT_DATA,
                     "%s, at byte %lld, begins with %02x %02x %02x, neither as PPM (P6) nor as JPEG or PNG; bare RGB "
                     "bytes need their size: --raw WxH",
                     name, (long long)stream->position, stream->bytes[0], stream->size > 1 ? stream->bytes[1] : 0,
                     stream->size > 2 ? stream->bytes[2] : 0);
}

static Status decode(const FrameStream *stream, const char *name, size_t length, Image *out) {
  if (!stream->raw_width) return image_decode(name, stream->bytes, length, out);
  TRY(image_try_alloc(name, out, stream->raw_width, stream->raw_height));
  memcpy(out->rgb, stream->bytes, length);
  return STATUS_OK;
}

Status frames_next(FrameStream *stream, Image *out, bool *out_end) {
  *out = (Image){0};
  *out_end = false;
  char name[NAME];
  snprintf(name, sizeof name, "frame %lld", (long long)stream->count + 1);
  for (;;) {
    size_t length = 0;
    bool is_here = skip_to_frame(stream);
    Status status = is_here ? STATUS_OK : not_a_frame(stream, name);
    if (is_here && stream->size && (stream->raw_width || may_begin(stream->bytes, stream->size)))
      status = frame_length(stream, name, &length);
    if (!status && !length) {
      status = more(stream, out_end);
      if (!status && *out_end && stream->size && !(stream->stop && *stream->stop))
        status = stream->raw_width || may_begin(stream->bytes, stream->size)
                     ? status_make(EXIT_DATA, "the stream ends within %s (%zu bytes of it came)", name, stream->size)
                     : not_a_frame(stream, name);
      if (!status && !*out_end) continue;
    }
    if (status || *out_end) {
      *out_end = true;
      return status;
    }
    status = decode(stream, name, length, out);
    stream->count++;
    drop(stream, length);
    return status;
  }
}
