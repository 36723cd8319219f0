// The compiled half of the comparison: a static program of a few hundred kilobytes, cross-compiled, nothing emulated.
//
// It answers one request at a time, which is enough to show which CPU it runs on, and gives nobody more than a few seconds.

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>

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

static void answer(int client) {
    char request[2048];
    ssize_t length = read(client, request, sizeof request - 1);
    if (length <= 0) {
        return;
    }
    request[length] = '\0';
    char body[512];
    const char *kind = "application/json";
    struct utsname machine;
    if (strncmp(request, "GET /healthz ", 13) == 0) {
        kind = "text/plain";
        snprintf(body, sizeof body, "ok");
    } else if (uname(&machine) == 0) {
        snprintf(body, sizeof body, "{\"service\":\"native\",\"architecture\":\"%s\",\"revision\":\"%s\"}", machine.machine, revision());
    } else {
        return;
    }
    char response[1024];
    int size = snprintf(response, sizeof response,
                        "HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n%s", kind, strlen(body), body);
    for (int sent = 0; sent < size;) {
        ssize_t part = write(client, response + sent, (size_t)(size - sent));
        if (part <= 0) {
            return;
        }
        sent += (int)part;
    }
}

int main(void) {
    signal(SIGTERM, leave);
    signal(SIGINT, leave);
    signal(SIGPIPE, SIG_IGN);
    const char *said = getenv("PORT");
    int port = said == NULL ? 8080 : atoi(said);
    int listener = socket(AF_INET6, SOCK_STREAM, 0);
    int on = 1, off = 0;
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        perror("socket");
        return 1;
    }
    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    struct sockaddr_in6 place = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port), .sin6_addr = in6addr_any};
    if (port <= 0 || port > 65535 || bind(listener, (struct sockaddr *)&place, sizeof place) != 0 || listen(listener, 64) != 0) {
        perror("listen");
        return 1;
    }
    struct timeval patience = {.tv_sec = 5};
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) {
            continue;
        }
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        answer(client);
        close(client);
    }
}
