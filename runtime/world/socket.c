// Socket: everything that a connection needs, without ever blocking beyond a deadline.
#include "runtime/world/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/clock.h"

void socket_close(int fd) {
  if (fd >= 0) close(fd);
}

static void make_ready(int fd) {
  int on = 1;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int milliseconds_to(double deadline) {
  double left = 1e3 * (deadline - clock_seconds());
  return left <= 0 ? 0 : left > 1e6 ? 1000000 : (int)left + 1;
}

// Whether the socket becomes ready for `events` before the deadline.
static bool wait_for(int fd, short events, double deadline) {
  struct pollfd one = {.fd = fd, .events = events};
  int n;
  do n = poll(&one, 1, milliseconds_to(deadline));
  while (n < 0 && errno == EINTR);
  return n > 0;
}

static Status find_addresses(const char *host, int port, bool is_listening, struct addrinfo **out) {
  char service[16];
  snprintf(service, sizeof service, "%d", port);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = is_listening ? AI_PASSIVE : 0};
  if (!host) hints.ai_family = AF_INET; // both families together would need two sockets
  int error = getaddrinfo(host, service, &hints, out);
  if (!error) return STATUS_OK;
  return status_make(EXIT_USAGE, "there is no machine '%s': %s", host ? host : "", gai_strerror(error));
}

static int port_of(int fd) {
  struct sockaddr_storage address = {0};
  socklen_t size = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) return 0;
  return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                       : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

Status socket_listen(const char *address, int port, int *out_fd, int *out_port) {
  struct addrinfo *found;
  TRY(find_addresses(address, port, true, &found));
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  bool is_good = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 512) == 0;
  int error = errno;
  freeaddrinfo(found);
  if (!is_good) {
    socket_close(fd);
    return status_make(EXIT_DEVICE, "cannot listen on %s port %d: %s", address ? address : "any address", port,
                       strerror(error));
  }
  make_ready(fd);
  *out_fd = fd;
  *out_port = port_of(fd);
  return STATUS_OK;
}

// One attempt at one address; -1 with errno where it fails.
static int try_connect(const struct addrinfo *address, double deadline) {
  int fd = socket(address->ai_family, SOCK_STREAM, 0);
  if (fd < 0) return -1;
  make_ready(fd);
  int error = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    socklen_t size = sizeof error;
    error = ETIMEDOUT;
    if (wait_for(fd, POLLOUT, deadline)) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (!error) return fd;
  close(fd);
  errno = error;
  return -1;
}

Status socket_connect(const char *host, int port, double deadline, int *out_fd) {
  struct addrinfo *found;
  TRY(find_addresses(host, port, false, &found));
  int error = ETIMEDOUT;
  for (double pause = 0.01; clock_seconds() < deadline; pause = pause < 0.3 ? 2 * pause : pause) {
    for (const struct addrinfo *address = found; address; address = address->ai_next) {
      double until = clock_seconds() + 5;
      *out_fd = try_connect(address, until < deadline ? until : deadline);
      if (*out_fd >= 0) {
        freeaddrinfo(found);
        return STATUS_OK;
      }
      error = errno;
    }
    usleep((useconds_t)(1e6 * pause));
  }
  freeaddrinfo(found);
  return status_make(EXIT_PEER, "cannot reach %s port %d: %s", host, port, strerror(error));
}

Status socket_accept(int listener, double deadline, int *out_fd) {
  do {
    int fd = accept(listener, NULL, NULL);
    if (fd >= 0) {
      make_ready(fd);
      *out_fd = fd;
      return STATUS_OK;
    }
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
      return status_make(EXIT_DEVICE, "cannot take connections: %s", strerror(errno));
  } while (wait_for(listener, POLLIN, deadline));
  return status_make(EXIT_PEER, "nobody came");
}

Status socket_send(int fd, const void *data, size_t size, double deadline) {
  const char *at = data;
  while (size) {
    ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
    if (n > 0) {
      at += n;
      size -= (size_t)n;
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
      return status_make(EXIT_PEER, "the connection broke: %s", strerror(errno));
    } else if (!wait_for(fd, POLLOUT, deadline)) {
      return status_make(EXIT_PEER, "the other side takes nothing any more");
    }
  }
  return STATUS_OK;
}

Status socket_receive(int fd, void *data, size_t size, double deadline) {
  char *at = data;
  while (size) {
    ssize_t n = recv(fd, at, size, 0);
    if (n > 0) {
      at += n;
      size -= (size_t)n;
    } else if (n == 0) {
      return status_make(EXIT_PEER, "the other side closed the connection");
    } else if (errno != EAGAIN && errno != EINTR) {
      return status_make(EXIT_PEER, "the connection broke: %s", strerror(errno));
    } else if (!wait_for(fd, POLLIN, deadline)) {
      return status_make(EXIT_PEER, "the other side says nothing");
    }
  }
  return STATUS_OK;
}

void socket_address(int fd, char out[SOCKET_HOST]) {
  struct sockaddr_storage address = {0};
  socklen_t size = sizeof address;
  snprintf(out, SOCKET_HOST, "?");
  if (getpeername(fd, (struct sockaddr *)&address, &size) == 0)
    getnameinfo((struct sockaddr *)&address, size, out, SOCKET_HOST, NULL, 0, NI_NUMERICHOST);
}

void socket_own_addresses(char *out, size_t size) {
  struct ifaddrs *all = NULL;
  size_t used = 0;
  out[0] = 0;
  if (getifaddrs(&all) != 0) return;
  for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
    if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET) continue;
    if ((one->ifa_flags & IFF_LOOPBACK) || !(one->ifa_flags & IFF_UP)) continue;
    char text[SOCKET_HOST];
    if (getnameinfo(one->ifa_addr, sizeof(struct sockaddr_in), text, sizeof text, NULL, 0, NI_NUMERICHOST)) continue;
    size_t length = strlen(text);
    if (used + length + 2 > size) break;
    used += (size_t)snprintf(out + used, size - used, "%s\n", text);
  }
  freeifaddrs(all);
}
