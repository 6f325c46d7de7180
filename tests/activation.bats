#!/usr/bin/env bats
# Guards serving on sockets that a service manager has opened ($LISTEN_FDS), and the units in examples/.

load helpers

EXAMPLES=$BATS_TEST_DIRNAME/../examples

# talk PORT STEP...: a client that does these steps.
talk() {
	local port=$1
	shift
	returns 0 "$HELPERS/peer" connect "$port" "$@"
}

# activated_bg [OPTION]... ADDR... -- COMMAND...: starts COMMAND with sockets, as "tool"; PORTS gets the ports.
activated_bg() {
	start_bg tool "$HELPERS/activate" "${@:1:$#}"
	wait_port ports
	read -r -a PORTS <ports
}

@test "one socket: it is served on, with no address on the command line" {
	activated_bg ports 127.0.0.1 -- "$TCPTOOL" listen -k -- cat
	talk "${PORTS[0]}" send:x shut rest:x
	returns 0 "$HELPERS/storm" -c 20 "${PORTS[0]}" 200
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	holds tool.err ''
}

@test "several sockets: all are served on, at the same time" {
	activated_bg ports 127.0.0.1 127.0.0.2 127.0.0.1 -- "$TCPTOOL" listen -k -- cat
	[ "${#PORTS[@]}" -eq 3 ]
	start_bg held "$HELPERS/peer" connect "${PORTS[0]}" send:a expect:a touch:held hold
	wait_for test -e held
	returns 0 "$HELPERS/peer" -a 127.0.0.2 connect "${PORTS[1]}" send:b shut rest:b
	talk "${PORTS[2]}" send:c shut rest:c
	# SIGTERM closes them all
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	returns 4 "$TCPTOOL" connect -z --quiet 127.0.0.2 "${PORTS[1]}"
	returns 4 "$TCPTOOL" connect -z --quiet 127.0.0.1 "${PORTS[2]}"
}

@test "IPv6 and both families on one socket" {
	need_ipv6
	activated_bg ports ::1 :: -- "$TCPTOOL" listen -k -c 'echo $TCPREMOTEIP'
	returns 0 "$HELPERS/peer" -a ::1 -s ::1 connect "${PORTS[0]}" 'rest:::1\n'
	talk "${PORTS[1]}" 'rest:127.0.0.1\n'
}

@test "every way of serving takes it" {
	start_bg crowd "$HELPERS/crowd" listen crowd.port
	wait_port crowd.port
	upstream=$PORT
	activated_bg ports 127.0.0.1 -- "$TCPTOOL" listen -k --forward="127.0.0.1:$upstream"
	talk "${PORTS[0]}" send:x shut rest:x
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	rm ports
	activated_bg ports 127.0.0.1 -- "$TCPTOOL" listen --greet=hi
	talk "${PORTS[0]}" 'expect:hi\0' 'send:back\0' eof
	ends 0 tool
	rm ports
	activated_bg ports 127.0.0.1 -- "$TCPTOOL" listen --recv-only
	talk "${PORTS[0]}" send:x shut eof
	ends 0 tool
	holds tool.out x
}

@test "a connection made before tcptool was started is served" {
	activated_bg ports 127.0.0.1 -- bash -c 'until [ -e go ]; do "$HELPERS/pause" 10; done; exec "$@"' bash \
		"$TCPTOOL" listen -k -- cat
	start_bg early "$HELPERS/peer" connect "${PORTS[0]}" send:x touch:sent shut rest:x
	wait_for test -e sent
	touch go
	ends 0 early
}

@test "it says that it is ready, and which port it is" {
	start_bg manager "$HELPERS/notified" "$PWD/socket" bound
	wait_for test -e bound
	NOTIFY_SOCKET=$PWD/socket activated_bg ports 127.0.0.1 -- "$TCPTOOL" listen -kv --port-file=tool.port -- cat
	wait_port tool.port
	[ "$PORT" = "${PORTS[0]}" ]
	ends 0 manager
	grep -q READY=1 manager.out
	wait_for grep -qx "tcptool: listening on 127.0.0.1 $PORT" tool.err
}

@test "HOST and PORT may stand there as well; the socket that is there is taken" {
	free=$("$HELPERS/peer" free)
	activated_bg ports 127.0.0.1 -- "$TCPTOOL" listen -k 127.0.0.1 "$free" -- cat
	talk "${PORTS[0]}" send:x shut rest:x
	returns 4 "$TCPTOOL" connect -z --quiet 127.0.0.1 "$free"
}

@test "sockets for another process are not taken" {
	for pid in 1 nobody 0 -1 ''; do
		rm -f ports tool.port
		activated_bg -p "$pid" ports 127.0.0.1 -- "$TCPTOOL" listen -k --port-file=tool.port 127.0.0.1 0 -- cat
		wait_port tool.port
		[ "$PORT" != "${PORTS[0]}" ]
		talk "$PORT" send:x shut rest:x
		kill -TERM "${PIDS[tool]}"
		ends 143 tool
		returns 2 "$HELPERS/activate" -p "$pid" ports 127.0.0.1 -- "$TCPTOOL" listen -k
		one_line err PORT
	done
}

@test "a LISTEN_FDS that is no number of sockets is a usage error, with PORT and without" {
	for count in x -1 1x '' 100000 99999999999; do
		returns 2 "$HELPERS/activate" -n "$count" ports 127.0.0.1 -- "$TCPTOOL" listen -k
		one_line err "\$LISTEN_FDS: '$count'"
		returns 2 "$HELPERS/activate" -n "$count" ports 127.0.0.1 -- "$TCPTOOL" listen -k 127.0.0.1 0
		one_line err "\$LISTEN_FDS: '$count'"
	done
	returns 2 "$HELPERS/activate" -n 0 ports 127.0.0.1 -- "$TCPTOOL" listen -k
	one_line err PORT
}

@test "what is no listening TCP socket is refused with a line and status 6" {
	for what in -d -f -b; do
		returns 6 "$HELPERS/activate" "$what" ports 127.0.0.1 -- "$TCPTOOL" listen -k --port-file=port
		one_line err 'LISTEN_FDS: descriptor 3 is not a listening TCP socket'
		[ ! -e port ]
	done
	# fewer than it was told
	returns 6 "$HELPERS/activate" -n 2 ports 127.0.0.1 -- "$TCPTOOL" listen -k
	one_line err 'LISTEN_FDS: descriptor 4 is not'
	returns 2 "$HELPERS/activate" -n 100000 ports 127.0.0.1 -- "$TCPTOOL" listen -k
	one_line err 'LISTEN_FDS'
}

@test "a command inherits neither the sockets nor the variables" {
	activated_bg ports 127.0.0.1 127.0.0.1 -- env LISTEN_FDNAMES=a:b "$TCPTOOL" listen -k \
		-c "env | grep -c ^LISTEN_; exec $HELPERS/inherited descriptors"
	talk "${PORTS[0]}" 'rest:0\ndescriptors 0 1 2\n'
	talk "${PORTS[1]}" 'rest:0\ndescriptors 0 1 2\n'
}

@test "with --user and --chroot, too" {
	[ "$(id -u)" -eq 0 ] || skip "not root"
	mkdir root
	activated_bg ports 127.0.0.1 -- "$TCPTOOL" listen -k --user=54321:54321 --chroot=root --greet=hi
	talk "${PORTS[0]}" 'expect:hi\0' 'send:back\0' eof
	grep -q '^Uid:[[:space:]]*54321[[:space:]]*54321[[:space:]]*54321[[:space:]]*54321$' "/proc/${PIDS[tool]}/status"
}

# --- the examples ---------------------------------------------------------------------------------

# exec_start UNIT: the words of its ExecStart, but with the program to test.
exec_start() {
	# shellcheck disable=SC2046
	set -- $(sed -n 's/^ExecStart=//p' "$EXAMPLES/$1")
	[ "$1" = /usr/bin/tcptool ]
	shift
	START=("$TCPTOOL" "$@")
}

# manage_bg ADDR COMMAND...: systemd listens on a free port of ADDR and starts COMMAND at the first connection.
manage_bg() {
	need systemd-socket-activate
	PORT=$("$HELPERS/peer" free)
	start_bg tool systemd-socket-activate -l "$1:$PORT" "${@:2}"
	wait_for grep -q '^Listening on ' tool.err
}

@test "tcptool-echo: it echoes" {
	exec_start tcptool-echo.service
	manage_bg 127.0.0.1 "${START[@]}"
	talk "$PORT" send:x shut rest:x
	returns 0 "$HELPERS/storm" -c 20 "$PORT" 200
	kill -TERM "${PIDS[tool]}"
	# SuccessExitStatus= of the unit
	ends 143 tool
}

@test "tcptool-forward: it forwards" {
	exec_start tcptool-forward.service
	start_bg crowd "$HELPERS/crowd" listen crowd.port
	wait_port crowd.port
	manage_bg 127.0.0.1 "${START[@]/127.0.0.1:80/127.0.0.1:$PORT}"
	[[ "${START[*]}" == *--forward=127.0.0.1:80* ]]
	talk "$PORT" send:x shut rest:x
	returns 0 "$HELPERS/storm" -c 20 "$PORT" 200
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
}

@test "each service has its socket, and systemd finds nothing wrong with them" {
	mkdir units
	for service in "$EXAMPLES"/*.service; do
		name=$(basename "$service" .service)
		[ -f "$EXAMPLES/$name.socket" ]
		grep -qx "Requires=$name.socket" "$service"
		grep -q "^ *$name.socket, $name.service$" "$EXAMPLES/README"
		cp "$EXAMPLES/$name.socket" units
		# it looks whether the program is there
		sed "s:^ExecStart=/usr/bin/tcptool :ExecStart=$TCPTOOL :" "$service" >"units/$name.service"
	done
	need systemd-analyze
	returns 0 systemd-analyze verify units/*
	cat out err >said
	# what it has to say of other units of this machine is no matter here
	fails grep tcptool said
}
