#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Runs a program on a terminal of its own (pyte draws it) and follows a script from standard input, a line each:
#   expect TEXT     until TEXT is on the screen      expect! TEXT   until it is not
#   line TEXT       prints the first line with TEXT  screen         prints all lines
#   send TEXT       keys; \t \e \r are understood     size COLS ROWS
#   styles TEXT     prints whether the line with TEXT is reverse
#   signal NAME     to the program                echo     prints whether the terminal shows what is typed
#   end             waits for the program's end, prints its status
# Answers come as "ok ..." or "not ok ..."; a deadline of 90 s per line.
import fcntl, os, pty, select, signal, struct, sys, termios, time
import pyte

cols, rows = int(sys.argv[1]), int(sys.argv[2])
pid, fd = pty.fork()
if pid == 0:
    os.environ['TERM'] = 'linux' # pyte does not know xterm's repeated characters
    os.execv(sys.argv[3], sys.argv[3:])
screen = pyte.Screen(cols, rows)
stream = pyte.ByteStream(screen)
raw = bytearray()


def size():
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))


def pump(wait):
    ready, _, _ = select.select([fd], [], [], wait)
    if not ready:
        return True
    try:
        data = os.read(fd, 65536)
    except OSError:
        return False
    if data:
        raw.extend(data)
        stream.feed(data)
    return bool(data)


def find(text):
    return [y for y, l in enumerate(screen.display) if text in l]


def until(test):
    end = time.monotonic() + 90
    while not test():
        if time.monotonic() > end:
            return False
        if not pump(0.05):
            return test()
    return True


size()
for given in sys.stdin:
    word, _, text = given.rstrip('\n').partition(' ')
    pump(0.05)
    if word in ('expect', 'expect!'):
        good = until((lambda: find(text)) if word == 'expect' else (lambda: not find(text)))
        print(('ok ' if good else 'not ok ') + given.strip())
        if not good:
            print('\n'.join('# ' + l for l in screen.display))
    elif word == 'line':
        y = find(text)
        print('ok ' + screen.display[y[0]].rstrip() if y else 'not ok no line with ' + text)
    elif word == 'screen':
        print('\n'.join('| ' + l for l in screen.display))
    elif word == 'styles':
        y = find(text)
        print('ok ' + ('reverse' if y and screen.buffer[y[0]][1].reverse else 'plain'))
    elif word == 'send':
        os.write(fd, text.replace('\\t', '\t').replace('\\e', '\x1b').replace('\\r', '\r').replace('\\s', ' ').encode())
        print('ok sent')
    elif word == 'size':
        cols, rows = map(int, text.split())
        screen.resize(rows, cols)
        size()
        print('ok size')
    elif word == 'raw':
        # nothing but the terminal's own sequences: no control character of another's name
        print('ok ' + ('found' if eval("b'" + text + "'") in raw else 'absent'))
    elif word == 'signal':
        os.kill(pid, getattr(signal, text))
        print('ok sent')
    elif word == 'echo':
        print('ok ' + ('echo' if termios.tcgetattr(fd)[3] & termios.ECHO else 'quiet'))
    elif word == 'end':
        end = time.monotonic() + 90
        while pump(0.05) and time.monotonic() < end:
            pass
        done, status = os.waitpid(pid, os.WNOHANG)
        for _ in range(1200):
            if done:
                break
            time.sleep(0.05)
            done, status = os.waitpid(pid, os.WNOHANG)
        print('ok ended %d' % status if done else 'not ok still there')
    sys.stdout.flush()
try:
    os.kill(pid, signal.SIGKILL)
except OSError:
    pass
