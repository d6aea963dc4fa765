/* The floor: the cost of N keep-alive connections if nothing is parsed.
 *
 *   floor PORT CONNECTIONS SECONDS REQUEST_FILE BYTES [PAUSE_US]
 *
 * One thread, one edge-triggered epoll set, each socket registered once. It sends the file's bytes, receives, and sends again
 * as soon as the response is complete. A response is complete after BYTES bytes or, if BYTES is 0, with the read that ends a
 * chunked body ("0\r\n\r\n"). One recv and one send per response is the minimum with sockets. A client can only be cheaper
 * with another kernel interface, or if it wakes less often. With PAUSE_US this loop wakes less often: it sleeps for that long
 * before each wait, which shows what batching is worth. Without kernel receive timestamps its times would be late by as much.
 *
 * Prints "requests=N bytes=M": finished responses and all bytes received. It connects to loopback only, on purpose.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 20000, MAX_REQUEST = 4096, BUFFER = 65536, EVENTS = 1024, TAIL = 5 };

struct connection {
  int fd;
  long received;     /* bytes of the current response */
  char tail[TAIL];   /* its last bytes: the end of a chunked body may be cut in two */
};

static struct connection connections[MAX_CONNECTIONS];
static char request[MAX_REQUEST], buffer[BUFFER];
static size_t request_length;
static uint64_t answers, bytes;

static void die(const char *what) {
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void ask(struct connection *c) {
  c->received = 0;
  if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) die("send");
}

static void keep_tail(struct connection *c, ssize_t n) {
  if (n >= TAIL) {
    memcpy(c->tail, buffer + n - TAIL, TAIL);
  } else {
    memmove(c->tail, c->tail + n, (size_t)(TAIL - n));
    memcpy(c->tail + TAIL - n, buffer, (size_t)n);
  }
}

/* A read that does not fill the buffer has emptied the socket; what comes later is reported again. */
static void serve(struct connection *c, long expected) {
  ssize_t n;
  do {
    n = recv(c->fd, buffer, BUFFER, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) die("the server closed a connection");
    bytes += (uint64_t)n;
    c->received += n;
    bool over = c->received == expected;
    if (expected == 0) {
      keep_tail(c, n);
      over = memcmp(c->tail, "0\r\n\r\n", TAIL) == 0;
    }
    if (over) {
      answers++;
      ask(c);
    } else if (expected > 0 && c->received > expected) {
      fprintf(stderr, "floor: %ld bytes instead of %ld\n", c->received, expected);
      exit(1);
    }
  } while (n == BUFFER);
}

static int open_connection(int poll, uint16_t port, struct connection *c) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int yes = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0) return -1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0) return -1;
  struct epoll_event on = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = c};
  return epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &on);
}

int main(int argc, char **argv) {
  if (argc != 6 && argc != 7) {
    fprintf(stderr, "usage: floor PORT CONNECTIONS SECONDS REQUEST_FILE BYTES [PAUSE_US]\n");
    return 2;
  }
  int port = atoi(argv[1]), count = atoi(argv[2]);
  double seconds = atof(argv[3]);
  long expected = atol(argv[5]), pause_us = argc > 6 ? atol(argv[6]) : 0;
  if (port < 1 || port > 65535 || count < 1 || count > MAX_CONNECTIONS || seconds <= 0 || expected < 0 || pause_us < 0 ||
      pause_us > 100000) {
    fprintf(stderr, "floor: PORT 1 to 65535, CONNECTIONS 1 to %d, SECONDS above 0, BYTES not below 0, PAUSE_US 0 to 100000\n", MAX_CONNECTIONS);
    return 2;
  }
  FILE *file = fopen(argv[4], "rb");
  if (!file) die(argv[4]);
  request_length = fread(request, 1, MAX_REQUEST, file);
  fclose(file);

  int poll = epoll_create1(0);
  for (int i = 0; i < count; i++)
    if (open_connection(poll, (uint16_t)port, &connections[i]) != 0) die("connect");
  for (int i = 0; i < count; i++) ask(&connections[i]);

  struct epoll_event events[EVENTS];
  double end = now() + seconds;
  struct timespec pause = {.tv_nsec = pause_us * 1000};
  while (now() < end) {
    if (pause_us > 0) nanosleep(&pause, NULL);
    int n = epoll_wait(poll, events, EVENTS, 50);
    if (n < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < n; i++) serve(events[i].data.ptr, expected);
  }
  printf("requests=%llu bytes=%llu\n", (unsigned long long)answers, (unsigned long long)bytes);
  return 0;
}
