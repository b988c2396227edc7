/* SPDX-License-Identifier: ISC */
/* Limits, background, user, pidfile. */
#include "main/system.h"

#include "conf/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void system_forget_libpq(void)
{
    char name[64];

    for (int i = 0; environ && environ[i];) {
        size_t n = strcspn(environ[i], "=");
        if (strncmp(environ[i], "PG", 2) != 0 || n >= sizeof(name)) {
            i++;
            continue;
        }
        memcpy(name, environ[i], n);
        name[n] = '\0';
        unsetenv(name); /* the next one moves to this place */
    }
}

void system_raise_limits(struct log *log)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) != 0 || rl.rlim_cur == rl.rlim_max)
        return;
    rl.rlim_cur = rl.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &rl) != 0)
        log_warn(log, "cannot raise the limit of open files: %s", strerror(errno));
}

/* The process that was called: ends with success when the daemon has said that it is up, else with
 * failure. */
static _Noreturn void await_daemon(int fd)
{
    char byte;
    ssize_t n;

    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    _exit(n == 1 ? 0 : 1);
}

bool system_daemonize(const char *pidfile, bool has_log, int *ready, struct err *e)
{
    int fds[2];

    if (!*pidfile)
        return err_set(e, "daemon needs pidfile configured");
    if (!has_log)
        return err_set(e, "daemon needs logfile or syslog configured");
    if (pipe2(fds, O_CLOEXEC) != 0)
        return err_set(e, "cannot make a pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return err_set(e, "cannot fork: %s", strerror(errno));
    }
    if (pid > 0) {
        close(fds[1]);
        await_daemon(fds[0]);
    }
    close(fds[0]);
    *ready = fds[1];
    setsid();
    pid = fork();
    if (pid < 0)
        return err_set(e, "cannot fork: %s", strerror(errno));
    if (pid > 0)
        _exit(0);
    return true;
}

bool system_daemon_ready(int ready, struct err *e)
{
    ssize_t n;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return err_set(e, "cannot open /dev/null: %s", strerror(errno));
    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
    do {
        n = write(ready, "", 1);
    } while (n < 0 && errno == EINTR);
    close(ready);
    return true;
}

uid_t system_future_owner(const char *user)
{
    const struct passwd *pw = geteuid() == 0 && *user ? getpwnam(user) : NULL;

    return pw ? pw->pw_uid : 0;
}

bool system_drop_privileges(const char *user, struct log *log, struct err *e)
{
    if (geteuid() != 0)
        return true;
    if (!*user)
        return err_set(
            e, "pgbulkhead should not run as root: set user= in the configuration, or use -u USER");
    struct passwd *pw = getpwnam(user);
    if (!pw)
        return err_set(e, "could not find user \"%s\" to switch to", user);
    if (pw->pw_uid == 0)
        return err_set(e, "pgbulkhead should not run as root");
    int fd = atomic_load(&log->fd);
    if (fd >= 0 && fchown(fd, pw->pw_uid, pw->pw_gid) != 0) /* else no RELOAD could open it again */
        log_warn(log, "cannot give the log file to user \"%s\": %s", user, strerror(errno));
    if (initgroups(user, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
        return err_set(e, "cannot become user \"%s\": %s", user, strerror(errno));
    if (setuid(0) == 0)
        return err_set(e, "privileges could be taken back");
    return true;
}

/* Does the file name a process that lives, and is not `but`? */
static bool held(const char *path, pid_t but)
{
    char text[32] = "";
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool got = fgets(text, sizeof(text), f) != NULL;
    fclose(f);
    long pid = got ? strtol(text, NULL, 10) : 0;
    return pid > 0 && pid != getpid() && pid != but && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

bool system_pidfile_free(const char *path, pid_t but, struct err *e)
{
    if (*path && held(path, but))
        return err_set(e, "pidfile %s exists, another instance is running", path);
    return true;
}

bool system_pidfile(const char *path, const char **written, struct err *e)
{
    if (!*path)
        return true;
    FILE *f = fopen(path, "we");
    if (!f)
        return err_set(e, "cannot write pidfile %s: %s", path, strerror(errno));
    bool ok = fprintf(f, "%ld\n", (long)getpid()) > 0;
    if (fclose(f) != 0 || !ok)
        return err_set(e, "cannot write pidfile %s: %s", path, strerror(errno));
    *written = path;
    return true;
}

const char *system_facility(int index)
{
    return key_find(key_table_settings(), TEXT("syslog_facility"))->names[index];
}
