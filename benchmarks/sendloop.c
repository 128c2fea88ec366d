/* The lower bound for one send() per event and connection: a plain loop in C.
 *
 * Listens on a free port of 127.0.0.1 and prints it. Every connection gets an SSE
 * head; every line on standard input goes to all connections as one event. Ends at
 * the end of standard input. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536, INPUT = 1 << 20 };

static int sockets[MOST];
static int count;
static char input[INPUT];

static const char HEAD[] = "HTTP/1.1 200 OK\r\n"
                           "Content-Type: text/event-stream\r\n"
                           "Cache-Control: no-store\r\n"
                           "Connection: close\r\n\r\n";

static void send_all(const char *line, size_t length)
{
    static long number;
    char frame[4096];
    int size = snprintf(frame, sizeof frame,
                        "id: %ld\nevent: bench\ndata: {\"body\": \"%.*s\"}\n\n",
                        ++number, (int)length, line);
    if (size < 0 || (size_t)size >= sizeof frame)
        exit(1);
    for (int i = 0; i < count; i++) {
        ssize_t sent = send(sockets[i], frame, (size_t)size, MSG_NOSIGNAL);
        if (sent == size)
            continue;
        if (sent >= 0 || (errno != EPIPE && errno != ECONNRESET))
            exit(1);
        close(sockets[i]); /* the client has gone: the last one takes its place */
        sockets[i--] = sockets[--count];
    }
}

static void admit(int listener)
{
    char request[4096];
    int one = 1;
    int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (peer < 0 || count == MOST)
        exit(1);
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (recv(peer, request, sizeof request, 0) <= 0)
        exit(1);
    if (send(peer, HEAD, sizeof HEAD - 1, MSG_NOSIGNAL) < 0)
        exit(1);
    sockets[count++] = peer;
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    size_t held = 0;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        return 1;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    for (;;) {
        struct pollfd ready[2] = {{.fd = listener, .events = POLLIN},
                                  {.fd = STDIN_FILENO, .events = POLLIN}};
        if (poll(ready, 2, -1) < 0)
            return 1;
        if (ready[0].revents)
            admit(listener);
        if (ready[1].revents) {
            ssize_t got = read(STDIN_FILENO, input + held, sizeof input - held);
            if (got <= 0)
                return 0;
            held += (size_t)got;
            char *start = input, *end;
            while ((end = memchr(start, '\n', held))) {
                send_all(start, (size_t)(end - start));
                held -= (size_t)(end + 1 - start);
                start = end + 1;
            }
            memmove(input, start, held);
        }
    }
}
