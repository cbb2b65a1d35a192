// Frames: pictures that follow one another in a stream of bytes, such as a camera's pipe.
#ifndef SG_DATA_FRAMES_H
#define SG_DATA_FRAMES_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/data/image.h"

typedef struct FrameStream FrameStream;

// The frames that come from a file descriptor (lent): PPM (P6), JPEG and PNG pictures one after another, told by
// content; or, with raw_width above 0, bare rows of RGB bytes (rgb24) of raw_width x raw_height pixels. A frame is
// handed out as soon as its last byte is there, and only one is held. `stop` (may be NULL) ends the stream once it is
// not 0, even while no bytes come. frames_close ends it.
FrameStream *frames_open(int fd, int raw_width, int raw_height, const volatile sig_atomic_t *stop);
void frames_close(FrameStream *stream); // NULL is allowed

// The next frame, which the caller owns. *out_end: nothing more comes, *out is {0}. A frame that cannot be decoded is
// EXIT_DATA with *out_end false: the next call goes on behind it. A stream whose frames cannot be told apart any more,
// or that ends within one, is EXIT_DATA with *out_end true.
Status frames_next(FrameStream *stream, Image *out, bool *out_end);

// Frames handed out or found broken so far.
int64_t frames_count(const FrameStream *stream);

#endif
