// The compiled half of the comparison: a static program of a few hundred kilobytes, cross-compiled, nothing emulated.
//
// It shows which CPU it runs on. Each of a few threads serves one client at a time and gives nobody more than some seconds, so
// that slow clients do not keep a health check waiting.

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 32 };

static void leave(int number) {
    (void)number;
    _exit(0);
}

// Only what stands in a commit gets into the JSON.
static const char *revision(void) {
    const char *said = getenv("REVISION");
    if (said == NULL || strspn(said, "0123456789abcdef-dirty") != strlen(said) || strlen(said) > 80) {
        return "unknown";
    }
    return said;
}

// Reads up to the end of the request's first line. What does not fit is no request of ours.
static int read_line(int client, char *line, size_t room) {
    size_t length = 0;
    while (length < room - 1) {
        ssize_t part = read(client, line + length, room - 1 - length);
        if (part <= 0) {
            return 0;
        }
        length += (size_t)part;
        line[length] = '\0';
        char *end = strpbrk(line, "\r\n");
        if (end != NULL) {
            *end = '\0';
            return 1;
        }
    }
    return 0;
}

static void send_all(int client, const char *text, size_t size) {
    while (size > 0) {
        ssize_t part = write(client, text, size);
        if (part <= 0) {
            return;
        }
        text += part;
        size -= (size_t)part;
    }
}

// Closing a connection with something unread in it would take the answer back.
static void drain(int client) {
    shutdown(client, SHUT_WR);
    struct timeval patience = {.tv_sec = 1};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    char rest[4096];
    for (int parts = 0; parts < 64 && read(client, rest, sizeof rest) > 0; parts++) {
    }
}

static void answer(int client) {
    char line[2048], body[512];
    const char *status = "200 OK", *kind = "application/json";
    struct utsname machine;
    int is_whole = read_line(client, line, sizeof line);
    int is_head = is_whole && strncmp(line, "HEAD ", 5) == 0;
    char *path = is_whole ? strchr(line, ' ') : NULL;
    if (path == NULL || (!is_head && strncmp(line, "GET ", 4) != 0) || uname(&machine) != 0) {
        status = "400 Bad Request";
        kind = "text/plain";
        snprintf(body, sizeof body, "this takes GET and HEAD\n");
    } else if (strncmp(path, " /healthz ", 10) == 0) {
        kind = "text/plain";
        snprintf(body, sizeof body, "ok");
    } else {
        snprintf(body, sizeof body, "{\"service\":\"native\",\"architecture\":\"%s\",\"revision\":\"%s\"}", machine.machine, revision());
    }
    char head[256];
    int size = snprintf(head, sizeof head, "HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n",
                        status, kind, strlen(body));
    send_all(client, head, (size_t)size);
    if (!is_head) {
        send_all(client, body, strlen(body));
    }
    drain(client);
}

static void *serve(void *place) {
    int listener = *(int *)place;
    struct timeval patience = {.tv_sec = 5};
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) {
            // Out of descriptors, most likely: trying at once would only burn the CPU.
            nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
            continue;
        }
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        answer(client);
        close(client);
    }
    return NULL;
}

// Of both families; of IPv4 alone where the kernel has no IPv6.
static int listen_on(unsigned short port) {
    int on = 1, off = 0;
    int listener = socket(AF_INET6, SOCK_STREAM, 0);
    if (listener >= 0) {
        struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (bind(listener, (struct sockaddr *)&any, sizeof any) == 0 && listen(listener, 64) == 0) {
            return listener;
        }
        close(listener);
    }
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0) {
        return -1;
    }
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return bind(listener, (struct sockaddr *)&any, sizeof any) == 0 && listen(listener, 64) == 0 ? listener : -1;
}

int main(void) {
    signal(SIGTERM, leave);
    signal(SIGINT, leave);
    signal(SIGPIPE, SIG_IGN);
    const char *said = getenv("PORT");
    int port = said == NULL ? 8080 : atoi(said);
    if (port <= 0 || port > 65535) {
        fprintf(stderr, "PORT is `%s`: write a number from 1 to 65535\n", said);
        return 1;
    }
    int listener = listen_on((unsigned short)port);
    if (listener < 0) {
        perror("listen");
        return 1;
    }
    for (int number = 1; number < THREADS; number++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, &listener) != 0) {
            break;
        }
    }
    serve(&listener);
}
