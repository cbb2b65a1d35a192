// Socket: TCP connections between the processes of a job, with deadlines in the seconds of clock_seconds.
#ifndef SG_WORLD_SOCKET_H
#define SG_WORLD_SOCKET_H

#include <stddef.h>

#include "runtime/base/status.h"

enum { SOCKET_HOST = 64 };

// Listens on an address (NULL: all of this machine's) and a port (0: a free one, which *out_port then says).
Status socket_listen(const char *address, int port, int *out_fd, int *out_port);
// Connects, trying again until the deadline while nobody listens there. The connection does not block.
Status socket_connect(const char *host, int port, double deadline, int *out_fd);
// The next connection to a listening socket; EXIT_PEER once the deadline has passed.
Status socket_accept(int listener, double deadline, int *out_fd);
// The whole message or an error, EXIT_PEER where the other side is gone or the deadline has passed.
Status socket_send(int fd, const void *data, size_t size, double deadline);
Status socket_receive(int fd, void *data, size_t size, double deadline);
// The other side's address, as socket_connect takes it.
void socket_address(int fd, char out[SOCKET_HOST]);
// Addresses of this machine that others may know, one a line, at most `size` bytes with the ending zero.
void socket_own_addresses(char *out, size_t size);
// Closes it where it is one (not -1).
void socket_close(int fd);

#endif
