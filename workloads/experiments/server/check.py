#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starts task servers and compares each answer with that of a model in Python.

Usage: check.py [--no-limit] SERVER...     (programs task-server-<backend>)

Every server, with both versions, gets the same sequences: first one of each answer that the routes
have, then random requests from one client, then random requests from four clients at once, each
with tasks of its own. Then one without memory is emptied (but for --no-limit, under a sanitizer),
and one gets many malformed requests. Judges status, body and headers, never time. Exit status 1: an
answer was wrong; 2: usage.
"""
import http.client
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import program as shared

STANDING = 20
NO_ROUTE = "there are /tasks/, /tasks/{task}/, /subtasks/{subtask}/ and /subtasks/{task}/{subtask}/"
NO_NAME = "a name has 1 to 64 letters, digits or any of -._~"
TAKEN = "a subtask of this name belongs to another task"


class Wrong(Exception):
    pass


class Server:
    """A running server; as a context it is ended by SIGTERM and its statistics are read."""

    def __init__(self, program, *arguments, stderr=None):
        self.process = shared.start(
            [program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        line = self.process.stdout.readline()
        if not line:
            raise Wrong(f"{program} did not start")
        self.url = json.loads(line)["listening"]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.statistics = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is not None:
            raise Wrong(f"the server ended by itself, with status {self.process.returncode}")
        self.process.send_signal(signal.SIGTERM)
        try:
            text = self.process.communicate(timeout=60)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Wrong("the server did not end after SIGTERM") from None
        if kind is None:
            if self.process.returncode != 0:
                raise Wrong(f"the server ended with status {self.process.returncode}")
            self.statistics = json.loads(text)


class Model:
    """What the server shall answer, for one client at a time: status and the object in the body."""

    def __init__(self):
        self.tasks, self.owner = {}, {}
        for i in range(STANDING):
            self.put_task(f"task-{i}", "standing", [f"task-{i}.{k}" for k in range(3)])

    def task(self, name):
        title, subtasks = self.tasks[name]
        return {
            "id": name,
            "title": title,
            "subtasks": [{"id": s, "title": t} for s, t in subtasks.items()],
        }

    def subtask(self, name):
        task = self.owner[name]
        title, subtasks = self.tasks[task]
        return {
            "id": name,
            "title": subtasks[name],
            "task": {"id": task, "title": title, "subtasks": len(subtasks)},
        }

    def list(self, limit):
        return 200, {"count": len(self.tasks), "tasks": list(self.tasks)[:limit]}

    def get_task(self, name):
        return (200, self.task(name)) if name in self.tasks else (404, {"error": f"no task {name}"})

    def put_task(self, name, title, subtasks):
        if any(self.owner.get(s, name) != name for s in subtasks):
            return 409, {"error": TAKEN}
        status = 200 if name in self.tasks else 201
        for s in self.tasks.get(name, ("", {}))[1]:
            del self.owner[s]
        self.tasks[name] = (title, {s: "" for s in subtasks})
        self.owner.update({s: name for s in subtasks})
        return status, self.task(name)

    def delete_task(self, name):
        status, answer = self.get_task(name)
        if status == 200:
            for s in self.tasks.pop(name)[1]:
                del self.owner[s]
        return status, answer

    def get_subtask(self, name):
        return (
            (200, self.subtask(name))
            if name in self.owner
            else (404, {"error": f"no subtask {name}"})
        )

    def put_subtask(self, task, name, title):
        if task not in self.tasks:
            return 404, {"error": f"no task {task}"}
        if self.owner.get(name, task) != task:
            return 409, {"error": TAKEN}
        status = 200 if name in self.owner else 201
        self.owner[name] = task
        self.tasks[task][1][name] = title
        return status, self.subtask(name)

    def delete_subtask(self, name):
        status, answer = self.get_subtask(name)
        if status == 200:
            del self.tasks[self.owner.pop(name)][1][name]
        return status, answer


def body_of(answer):
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False) + "\n"


def ask(connection, method, path, body, expected, allow=None):
    connection.request(method, path, body.encode() if body is not None else None)
    response = connection.getresponse()
    got = response.status, response.read().decode()
    wanted = expected[0], body_of(expected[1])
    if (
        got != wanted
        or response.headers["Content-Type"] != "application/json"
        or response.headers["Allow"] != allow
    ):
        raise Wrong(
            f"{method} {path} {(body or '')[:200]}\n  wanted {wanted} Allow: {allow}\n  got   "
            f" {got} Allow: {response.headers['Allow']}"
        )


def agree(connection, model, what, *words, slash="/"):
    """The answer to a request is that of the model's method, such as put_task(name, title,
    subtasks)."""
    method, kind = what.split("_")
    path, body = f"/{kind}s/" + words[0], None
    if what == "put_task":
        body = json.dumps({"title": words[1], "subtasks": words[2]})
    elif what == "put_subtask":
        path, body = f"{path}/{words[1]}", json.dumps({"title": words[2]})
    ask(connection, method.upper(), path + slash, body, getattr(model, what)(*words))


def each_answer(connection, model):
    """Each status of each route, and what may be wrong with a request."""

    def error(status, text, method, path, body=None, allow=None):
        ask(connection, method, path, body, (status, {"error": text}), allow)

    unknown = "/ /x /tasks/a/b/ /subtasks/ /tasks// // /subtasks/a/b/c/ /tasks/a%2Fb/"
    for path in unknown.split():
        error(404, NO_ROUTE, "GET", path)
    error(405, "this path takes GET", "POST", "/tasks/", "{}", "GET")
    error(405, "this path takes GET, PUT, DELETE", "POST", "/tasks/a/", None, "GET, PUT, DELETE")
    error(405, "this path takes GET, DELETE", "PUT", "/subtasks/a/", "{}", "GET, DELETE")
    error(405, "this path takes PUT", "GET", "/subtasks/a/b/", None, "PUT")
    error(400, NO_NAME, "GET", "/tasks/" + 65 * "a" + "/")
    error(400, NO_NAME, "GET", "/tasks/a%20b/")
    for limit in "-1", "", "1001", "x", "99999999999999999999":
        error(400, "limit is a number from 0 to 1000", "GET", f"/tasks/?limit={limit}")
    error(400, "the body is an object", "PUT", "/tasks/a/", "[]")
    error(400, "title is a string", "PUT", "/tasks/a/", '{"title":1}')
    error(400, "subtasks is a list of at most 1000 names", "PUT", "/tasks/a/", '{"subtasks":{}}')
    many = json.dumps({"subtasks": 1001 * ["a"]})
    error(400, "subtasks is a list of at most 1000 names", "PUT", "/tasks/a/", many)
    error(
        400,
        "subtask 1 is no name: 1 to 64 letters, digits or any of -._~",
        "PUT",
        "/tasks/a/",
        '{"subtasks":["a","/"]}',
    )
    error(400, "subtask b is named twice", "PUT", "/tasks/a/", '{"subtasks":["b","a","b"]}')
    error(400, "the body has title and subtasks, nothing else", "PUT", "/tasks/a/", '{"name":"a"}')
    error(400, "the body has title, nothing else", "PUT", "/subtasks/task-0/a/", '{"subtasks":[]}')
    error(
        400,
        "no JSON: '}' expected near end of file, line 1, column 11",
        "PUT",
        "/tasks/a/",
        '{"title":""',
    )
    long = json.dumps({"title": 70000 * "a"})
    error(413, "a body has at most 65536 bytes", "PUT", "/tasks/a/", long)

    ask(connection, "GET", "/tasks/?limit=2", None, model.list(2))
    ask(connection, "GET", "/tasks/?limit=0", None, model.list(0))
    ask(connection, "GET", "/tasks", None, model.list(100))
    for name in "a", "a", 64 * "~":
        title, names = f'"\\é\n {name}', [f"s{name[:9]}", "t" + name[:9]]
        agree(connection, model, "put_task", name, title, names)
        agree(connection, model, "get_task", name, slash="")
    ask(connection, "PUT", "/tasks/empty/", None, model.put_task("empty", "", []))
    agree(connection, model, "put_task", "full", "", [f"f{i}" for i in range(1000)])
    agree(connection, model, "get_task", "full")
    body, names = '{"subtasks":["n","sa"]}', ["n", "sa"]
    ask(connection, "PUT", "/tasks/other/", body, model.put_task("other", "", names))
    agree(connection, model, "get_subtask", "n")
    ask(connection, "PUT", "/subtasks/empty/sa/", None, model.put_subtask("empty", "sa", ""))
    ask(connection, "PUT", "/subtasks/none/sa/", "{}", model.put_subtask("none", "sa", ""))
    for title in "", "again":
        agree(connection, model, "put_subtask", "empty", "new", title)
        agree(connection, model, "get_subtask", "new")
    for _ in range(2):
        agree(connection, model, "delete_subtask", "new")
        agree(connection, model, "delete_task", "full")
    agree(connection, model, "get_subtask", "f7")


def random_requests(connection, model, draw, count, tasks, subtasks, lists=True):
    """count requests on these names, half of which are not there at any time."""
    for _ in range(count):
        task, subtask = draw.choice(tasks), draw.choice(subtasks)
        title, kind = draw.choice(["", "a", 'ü"']), draw.randrange(8)
        if kind == 0 and lists:
            limit = draw.randrange(30)
            ask(connection, "GET", f"/tasks/?limit={limit}", None, model.list(limit))
        elif kind <= 1:
            agree(connection, model, "get_task", task)
        elif kind == 2:
            agree(connection, model, "get_subtask", subtask)
        elif kind <= 4:
            names = draw.sample(subtasks, draw.randrange(4))
            agree(connection, model, "put_task", task, title, names)
        elif kind == 5:
            agree(connection, model, "put_subtask", task, subtask, title, slash="")
        elif kind == 6:
            agree(connection, model, "delete_task", task)
        else:
            agree(connection, model, "delete_subtask", subtask)


def client(server, number, count, failures):
    """One of many: its names are its own, so its model alone knows the answers."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=240)
        random_requests(
            connection,
            Model(),
            random.Random(number),
            count,
            [f"c{number}-{i}" for i in range(8)],
            [f"c{number}-s{i}" for i in range(16)],
            lists=False,
        )
        connection.close()
    except Exception as error:  # told by the thread that waits
        failures.append(error)


def fight(server, seed, tasks, subtasks, failures, count=300):
    """Sends count requests in one piece, so that the workers are busy at once; any answer of the
    routes will do."""
    draw, text = random.Random(seed), b""
    for i in range(count):
        task, subtask = draw.choice(tasks), draw.choice(subtasks)
        body = json.dumps({"subtasks": draw.sample(subtasks, draw.randrange(4))})
        line, body = draw.choice(
            [
                (f"PUT /tasks/{task}/", body),
                (f"PUT /tasks/{task}/", body),
                (f"DELETE /tasks/{task}/", ""),
                (f"GET /tasks/{task}/", ""),
                (f"PUT /subtasks/{task}/{subtask}/", ""),
                (f"DELETE /subtasks/{subtask}/", ""),
                (f"GET /subtasks/{subtask}/", ""),
            ]
        )
        last = "Connection: close" if i == count - 1 else "X: y"
        head = f"{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n{last}\r\n\r\n"
        text += (head + body).encode()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=240) as connection:
            connection.sendall(text)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        statuses = [part[1:4].decode() for part in answer.split(b"HTTP/1.1")[1:]]
        if len(statuses) != count or set(statuses) - {"200", "201", "404", "409"}:
            raise Wrong(
                f"{count} requests at once got {len(statuses)} answers with {sorted(set(statuses))}"
            )
    except Exception as error:  # told by the thread that waits
        failures.append(error)


def fits_together(connection, tasks, subtasks):
    """A subtask is found exactly if its task has it, and belongs to one task only."""

    def get(path):
        connection.request("GET", path)
        response = connection.getresponse()
        return json.loads(response.read()) if response.status == 200 else (response.read(), None)[1]

    listed = {}
    for task in tasks:
        for subtask in (get(f"/tasks/{task}/") or {"subtasks": []})["subtasks"]:
            listed.setdefault(subtask["id"], []).append(task)
    for name in subtasks:
        found = get(f"/subtasks/{name}/")
        if listed.get(name, []) != ([found["task"]["id"]] if found else []):
            raise Wrong(f"subtask {name} is listed by {listed.get(name)}, but found as {found}")


def at_once(target, arguments):
    """Runs target in a thread for each; raises the first failure."""
    failures = []
    threads = [threading.Thread(target=target, args=(*one, failures)) for one in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def check(program, version, count=600):
    with Server(
        program, "--version", version, "--tasks", STANDING, "--threads", 4, "--idle", 0
    ) as server:  # no connection times out on a slow machine
        connection, model = (
            http.client.HTTPConnection("127.0.0.1", server.port, timeout=240),
            Model(),
        )
        each_answer(connection, model)
        random_requests(
            connection,
            model,
            random.Random(version),
            count,
            [f"task-{i}" for i in range(30)],
            [f"task-{i}.{k}" for i in range(25) for k in range(4)],
        )
        at_once(client, [(server, i, count) for i in range(4)])
        names = ["x", "y", "z"], [f"s{i}" for i in range(5)]
        for turn in range(8):
            at_once(fight, [(server, 4 * turn + i, *names) for i in range(4)])
            fits_together(connection, *names)
        for name in model.tasks:
            agree(connection, model, "get_task", name)
        connection.close()
    if server.statistics["objects_left"]:
        raise Wrong(f"{server.statistics['objects_left']} objects were left at the end")
    print(
        f"{server.statistics['backend']}, version {version}:"
        f" {server.statistics['requests']} answers as the model has them"
    )


def virtual_kib(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmSize:"))


def check_without_memory(program, version):
    """A server that gets no more memory answers with 503, takes no valid body for a wrong one, can
    be emptied, and works on."""
    with Server(
        program, "--version", version, "--tasks", STANDING, "--threads", 2, "--idle", 0
    ) as server:
        connection, names, statuses = (
            http.client.HTTPConnection("127.0.0.1", server.port, timeout=240),
            [],
            {},
        )

        def status(method, path, body=None):
            connection.request(method, path, body)
            response = connection.getresponse()
            text = response.read()
            if response.status >= 300 and json.loads(text) != {"error": "out of memory"}:
                raise Wrong(
                    f"without memory {method} {path} was answered with {response.status}, {text!r}"
                )
            return response.status

        for name in "a", "b":  # each worker has been at work, for this connection alone
            status(
                "PUT",
                f"/tasks/{name}/",
                json.dumps({"subtasks": [f"{name}{i}" for i in range(900)]}),
            )
        room = (virtual_kib(server.process) + 256) * 1024
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (room, resource.RLIM_INFINITY))
        for i in range(20000):
            name = f"filled-{i}"
            if statuses.get(503, 0) >= 30:
                break
            subtasks = [f"{name}.{k}" for k in range((0, 5, 300)[i % 3])]
            answer = status(
                "PUT", f"/tasks/{name}/", json.dumps({"title": 20000 * "x", "subtasks": subtasks})
            )
            statuses[answer] = statuses.get(answer, 0) + 1
            names += [name] if answer in (200, 201) else []
        if set(statuses) != {201, 503}:
            raise Wrong(f"without memory tasks were answered with {statuses}")
        for name in names[:-1] + ["a", "b"]:
            answer = status("DELETE", f"/tasks/{name}/")
            if answer != 200:
                raise Wrong(f"without memory DELETE was answered with {answer}")
        resource.prlimit(
            server.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        connection.request("GET", "/tasks/?limit=0")
        count = json.loads(connection.getresponse().read())["count"]
        if count != STANDING + 1:
            raise Wrong(f"{count} tasks are left, not {STANDING + 1}")
        connection.close()
    if server.statistics["objects_left"]:
        raise Wrong(f"{server.statistics['objects_left']} objects were left at the end")
    print(
        f"{server.statistics['backend']}, version {version}: {statuses[503]} answers without"
        f" memory, {len(names)} tasks deleted then"
    )


def check_messages(program, count=2000):
    """What clients do wrong fills no log."""
    with tempfile.TemporaryFile("w+") as log:
        with Server(program, "--threads", 2, stderr=log) as server:
            for _ in range(count):
                with socket.create_connection(
                    ("127.0.0.1", server.port), timeout=240
                ) as connection:
                    connection.sendall(
                        b"PUT /tasks/a/ HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"
                    )
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
        log.seek(0)
        lines = log.read().splitlines()
    if not 1 < len(lines) <= 60 or "left out" not in lines[-1]:
        raise Wrong(
            f"{count} malformed requests made {len(lines)} lines in the log, the last is"
            f" {lines[-1:]}"
        )
    print(
        f"{server.statistics['backend']}: {count} malformed requests, {len(lines)} lines in the log"
    )


def main():
    # A sanitizer's own memory cannot be limited: its programs are checked with memory enough.
    limited = "--no-limit" not in sys.argv[1:]
    programs = [word for word in sys.argv[1:] if word != "--no-limit"]
    if not programs or programs[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    for program in programs:
        for version in 1, 2:
            try:
                check(program, version)
                if limited:
                    check_without_memory(program, version)
                if version == 1:
                    check_messages(program)
            except (Wrong, OSError, http.client.HTTPException) as error:
                print(f"{program}, version {version}: {error}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    shared.main(main)
