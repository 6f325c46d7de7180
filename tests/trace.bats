#!/usr/bin/env bats
# Guards the traces: what is written down is what crossed the wire, in every mode and format, others can
# read it, and a trace that cannot be written never hurts the session.

load helpers

# exchange [OPTION]...: a connection in which "question" goes out and "answer" comes back.
exchange() {
	peer_bg peer expect:question send:answer rest:
	returns 0 "$TCPTOOL" connect "$@" 127.0.0.1 "$PORT" < <(printf question)
	ends 0 peer
	holds out answer
}

# payload DIRECTION FILE: the bytes of that direction in a trace of JSON lines.
payload() {
	grep "\"direction\":\"$1\",\"offset\"" "$2" | "$HELPERS/json" get data | while read -r line; do
		base64 -d <<<"$line"
	done
}

# followed FILE WHICH: stream 0 of a capture as tshark puts it together; WHICH is 0 for what the client
# sent, 1 for what the server did.
followed() {
	tshark -r "$1" -q -z follow,tcp,raw,0 2>tshark.err | awk -v which="$2" '
		/^[0-9a-f]+$/ && which == 0 { print }
		/^\t[0-9a-f]+$/ && which == 1 { sub(/\t/, ""); print }' | xxd -r -p
}

# clean_capture FILE: tcpdump and tshark read it to its end, find all checksums right and nothing amiss.
clean_capture() {
	tcpdump -nr "$1" -vv >dump.txt 2>dump.err
	fails grep -qv '^reading from file' dump.err
	fails grep -qE 'incorrect|bad cksum|truncated' dump.txt
	tshark -r "$1" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -q -z expert 2>tshark.err >expert.txt
	fails grep -qv '^Running as user' tshark.err
	fails grep -qE '^(Errors|Warnings) ' expert.txt
	fails grep -qE 'retransmission|previous segment|unseen|Window Full|out-of-order' expert.txt
}

need_analysers() {
	need tcpdump
	need tshark
	need xxd
}

# --- hexadecimal ---------------------------------------------------------------------------------

@test "-x shows both directions on stderr, and stdout stays what it was" {
	exchange -x
	grep -qxE '= #1 [0-9-]+ [0-9:]+\.[0-9]{6} connected to 127\.0\.0\.1 port [0-9]+ from 127\.0\.0\.1 port [0-9]+' err
	grep -qxE '> #1 [0-9:]+\.[0-9]{6} 8 bytes' err
	grep -qxF '> 00000000  71 75 65 73 74 69 6f 6e                           |question|' err
	grep -qxE '< #1 [0-9:]+\.[0-9]{6} 6 bytes' err
	grep -qxF '< 00000000  61 6e 73 77 65 72                                 |answer|' err
	grep -qxE '> #1 [0-9:]+\.[0-9]{6} end' err
	grep -qxE '< #1 [0-9:]+\.[0-9]{6} end' err
	grep -qxE '= #1 [0-9:]+\.[0-9]{6} closed' err
}

@test "a hexdump holds no control byte" {
	head -c 4096 /dev/urandom >noise
	peer_bg peer file:noise sink
	returns 0 "$TCPTOOL" connect -x 127.0.0.1 "$PORT" <noise
	fails grep -qP '[^\x20-\x7e]' err
	[ "$(grep -c '^[<>] [0-9a-f]\{8\}' err)" -ge 512 ]
}

@test "a hexdump of many bytes can be turned back into them" {
	need xxd
	random noise 300000
	peer_bg peer sink:kept
	returns 0 "$TCPTOOL" connect -o dump 127.0.0.1 "$PORT" <noise
	grep '^> 0' dump | cut -c 13-61 | xxd -r -p | cmp - noise
	# the offsets count on from chunk to chunk
	[ "$(grep '^> 0' dump | tail -n 1 | cut -c 3-10)" = 000493d0 ]
}

# --- raw -----------------------------------------------------------------------------------------

@test "raw: FILE.N.out and FILE.N.in are the bytes, for each connection" {
	exchange -o trace --trace-format=raw
	holds trace.1.out question
	holds trace.1.in answer
	[ ! -e trace ]

	listen_bg tool -k -o served --trace-format=raw 127.0.0.1 0 --greet=hi
	for i in 1 2 3; do
		returns 0 "$HELPERS/peer" connect "$PORT" 'expect:hi\0' "send:$i\\0" rest:
	done
	for i in 1 2 3; do
		wait_for holds "served.$i.in" "$i\\0"
		holds "served.$i.out" 'hi\0'
	done
}

@test "raw: what is open has no name for two files a connection: a usage error" {
	for name in - /dev/stdout /dev/fd/2 /proc/self/fd/1; do
		returns 2 "$TCPTOOL" connect -o $name --trace-format=raw 127.0.0.1 1
		one_line err "raw makes two files for each connection: --trace=$name is a descriptor"
	done
}

@test "raw: a FIFO that no process reads is told once, and holds nothing up" {
	mkfifo trace.1.in
	peer_bg peer expect:hello shut eof
	returns 0 "$TCPTOOL" connect -o trace --trace-format=raw 127.0.0.1 "$PORT" < <(printf hello)
	one_line err 'trace trace.1.in: no process has it open for reading'
	ends 0 peer
}

# --- JSON lines ----------------------------------------------------------------------------------

@test "jsonl: one valid object a line, from open to close" {
	exchange -o trace.jsonl
	"$HELPERS/json" check <trace.jsonl
	[ "$(head -n 1 trace.jsonl | "$HELPERS/json" get event)" = open ]
	[ "$(head -n 1 trace.jsonl | "$HELPERS/json" get peer port)" = "$PORT" ]
	[ "$(head -n 1 trace.jsonl | "$HELPERS/json" get incoming)" = false ]
	tail -n 1 trace.jsonl >last
	[ "$("$HELPERS/json" get event <last) $("$HELPERS/json" get how <last)" = 'close closed' ]
	[ "$("$HELPERS/json" get sent <last) $("$HELPERS/json" get received <last)" = '8 6' ]
	payload sent trace.jsonl | holds - question
	payload received trace.jsonl | holds - answer
	grep -qE '"event":"end".*"direction":"sent","how":"fin"' trace.jsonl
	grep -qE '"event":"end".*"direction":"received","how":"fin"' trace.jsonl
}

@test "jsonl: any bytes, and offsets that leave no gap" {
	random noise 1000003
	peer_bg peer file:noise sink
	returns 0 "$TCPTOOL" connect -o trace.jsonl 127.0.0.1 "$PORT" <noise
	"$HELPERS/json" check <trace.jsonl
	for direction in sent received; do
		payload $direction trace.jsonl | cmp - noise
		grep "\"direction\":\"$direction\",\"offset\"" trace.jsonl >data
		paste <("$HELPERS/json" get offset <data) <("$HELPERS/json" get length <data) |
			awk '$1 != next_offset + 0 { exit 1 } { next_offset = $1 + $2 } END { exit next_offset != 1000003 }'
	done
}

@test "a reset is told as one, in jsonl and in hexadecimal" {
	for file in trace.jsonl trace.hex; do
		peer_bg peer send:bye reset
		returns 1 "$TCPTOOL" connect -o "$file" --recv-only 127.0.0.1 "$PORT"
		ends 0 peer
		holds out bye
	done
	grep -qE '"event":"end".*"direction":"received","how":"reset"' trace.jsonl
	[ "$(tail -n 1 trace.jsonl | "$HELPERS/json" get how)" = 'Connection reset by peer' ]
	grep -qE '^< #1 [0-9:.]+ reset$' trace.hex
	grep -qE '^= #1 [0-9:.]+ Connection reset by peer$' trace.hex
}

# lost_while_receiving FILE: traces to FILE a connection that is reset when much of what was received has
# not been read yet; it is writing that meets the reset first.
lost_while_receiving() {
	rm -f in to_stdout
	mkfifo in to_stdout
	exec 5<>in 6<>to_stdout
	peer_bg peer file:noise acked reset
	# 64 KiB fill the pipe, a read takes as much at most, and the kernel has room for the rest
	IN=in OUT=to_stdout start_bg tool "$TCPTOOL" connect -o "$1" --limit-rate=600k -O rcvbuf=200k \
		127.0.0.1 "$PORT"
	ends 0 peer
	printf vain >&5
	wait_for write_failed
	head -c 240000 <&6 >kept
	ends 1 tool
	exec 5>&- 6>&-
	cmp noise kept
}

write_failed() {
	kill -USR1 "${PIDS[tool]}"
	grep -q '"sent_end":"Connection reset by peer"' tool.err
}

@test "a reset that writing meets first is written down behind all that was received" {
	random noise 240000
	lost_while_receiving trace.jsonl
	payload received trace.jsonl | cmp - noise
	[ "$(tail -n 2 trace.jsonl | "$HELPERS/json" get event | tr '\n' ' ')" = 'end close ' ]
	[ "$(grep -c '"event":"end"' trace.jsonl)" -eq 1 ]
	grep -qE '"event":"end".*"direction":"received","how":"reset"' trace.jsonl
}

@test "pcapng: the RST is the last packet, and counts as none" {
	need_analysers
	random noise 240000
	lost_while_receiving trace.pcapng
	clean_capture trace.pcapng
	followed trace.pcapng 1 | cmp - noise
	tshark -r trace.pcapng -T fields -e tcp.flags.reset -e tcp.flags.fin -e tcp.seq 2>/dev/null |
		tail -n 1 | sed 's/True/1/g; s/False/0/g' >last
	holds last '1\t0\t240001\n'
}

# told FILE DIRECTION HOW: the trace tells this end.
told() {
	grep -qE "\"event\":\"end\".*\"direction\":\"$2\",\"how\":\"$3\"" "$1"
}

@test "a reset behind the peer's end is recorded, too, and no FIN that was never sent" {
	mkfifo in
	exec 5<>in
	peer_bg peer expect:x shut wait:go reset
	IN=in start_bg tool "$TCPTOOL" connect -o idle.jsonl 127.0.0.1 "$PORT"
	printf x >&5
	wait_for told idle.jsonl received fin
	touch go
	ends 0 tool
	told idle.jsonl received reset
	fails told idle.jsonl sent fin
	exec 5>&-
	# the same while what was sent waits to be acknowledged
	random much 60000
	rm go
	peer_bg other -r 4096 shut wait:go reset
	IN=much start_bg tool "$TCPTOOL" connect -o settling.jsonl 127.0.0.1 "$PORT"
	wait_for told settling.jsonl received fin
	wait_for told settling.jsonl sent fin
	touch go
	ends 1 tool
	told settling.jsonl received reset
}

# --- pcapng --------------------------------------------------------------------------------------

@test "pcapng: packet analysers give both streams back byte for byte" {
	need_analysers
	random there 3000001
	random back 70001
	IN=back listen_bg tool -o server.pcapng 127.0.0.1 0
	returns 0 "$TCPTOOL" connect -o client.pcapng 127.0.0.1 "$PORT" <there
	ends 0 tool
	cmp there tool.out
	for side in client server; do
		clean_capture $side.pcapng
		followed $side.pcapng 0 | cmp - there
		followed $side.pcapng 1 | cmp - back
	done
}

@test "pcapng: addresses, ports, handshake and FIN are there, in IPv4 and in IPv6" {
	need_analysers
	need_ipv6
	for address in 127.0.0.1 ::1; do
		peer_bg peer -a $address expect:hello shut eof
		returns 0 "$TCPTOOL" connect -o trace.pcapng $address "$PORT" < <(printf hello)
		ends 0 peer
		clean_capture trace.pcapng
		flags=$(tshark -r trace.pcapng -T fields -e tcp.flags.str -e tcp.dstport 2>/dev/null | tr -d '·\t' | tr '\n' ' ')
		[[ $flags == "S$PORT "*"AS"*"A$PORT AP$PORT "*AF* ]]
		tshark -r trace.pcapng -T fields -e ip.src -e ipv6.src 2>/dev/null | tr -d '\t' | sort -u >seen
		holds seen "$address\n"
	done
}

@test "pcapng: a reset is a RST from the side that sent it" {
	need_analysers
	peer_bg peer send:bye reset
	returns 1 "$TCPTOOL" connect -o trace.pcapng --recv-only 127.0.0.1 "$PORT"
	clean_capture trace.pcapng
	[ "$(tshark -r trace.pcapng -Y tcp.flags.reset==1 -T fields -e tcp.srcport 2>/dev/null)" = "$PORT" ]
	# and the other way round: bytes that nobody reads make a close a reset
	peer_bg peer send:unread hold
	returns 5 "$TCPTOOL" connect -o ours.pcapng --deadline=500ms --send-only 127.0.0.1 "$PORT" < <(sleep 1)
	clean_capture ours.pcapng
}

@test "pcapng: a RST that follows a FIN has the number behind it" {
	need_analysers
	mkfifo in
	exec 5<>in
	peer_bg peer expect:x shut wait:go reset
	IN=in start_bg tool "$TCPTOOL" connect -o trace.pcapng 127.0.0.1 "$PORT"
	printf x >&5
	wait_for finished_by_peer trace.pcapng
	touch go
	ends 0 tool
	exec 5>&-
	clean_capture trace.pcapng
	[ "$(tshark -r trace.pcapng -Y tcp.flags.reset==1 -T fields -e tcp.seq 2>/dev/null)" = 2 ]
}

finished_by_peer() {
	tcpdump -nr "$1" 'tcp[13] & 1 != 0' 2>/dev/null | grep -q .
}

@test "pcapng: no packet is over 64 KiB, whatever was read at once" {
	need_analysers
	random noise 2000000
	peer_bg peer sink
	returns 0 "$TCPTOOL" connect -o trace.pcapng 127.0.0.1 "$PORT" <noise
	tshark -r trace.pcapng -T fields -e frame.len 2>/dev/null | awk '$1 > 65535 { exit 1 }'
}

# --- the file ------------------------------------------------------------------------------------

@test "the name of a descriptor means that descriptor, and nothing written to it is lost" {
	for name in - /dev/stdout /dev/fd/1 /proc/self/fd/1 /proc/thread-self/fd/1; do
		peer_bg peer expect:question send:answer rest:
		returns 0 "$TCPTOOL" connect -o $name 127.0.0.1 "$PORT" < <(printf question)
		# what was received, and the lines of the trace, whole
		[ "$(grep -o answer out | wc -l)" -eq 2 ]
		[ "$(sed 's/^answer//; s/answer\([=<>]\)/\1/' out | grep -c '^[=<>] .*[^=<>]$')" -eq 8 ]
	done
	for name in /dev/stderr /dev/fd/7 /proc/self/fd/7; do
		echo kept >log
		peer_bg peer expect:question send:answer rest:
		# shellcheck disable=SC2016 # the inner shell expands it
		returns 0 bash -c 'exec "$@" 2>>log 7>&2' bash "$TCPTOOL" connect -v -o $name --trace-format=jsonl \
			127.0.0.1 "$PORT" < <(printf question)
		[ "$(head -n 1 log)" = kept ]
		grep '^{' log >trace.jsonl
		payload sent trace.jsonl | holds - question
		payload received trace.jsonl | holds - answer
		[ "$(grep -c '"event":"close"' log)" -eq 1 ]
		grep -q '^tcptool: connection to .*: sent 8 bytes' log
	done
}

@test "a trace empties its file at the start" {
	echo stale >trace.jsonl
	exchange -o trace.jsonl
	"$HELPERS/json" check <trace.jsonl
}

# events EVENT COUNT: so many of them are in shared.jsonl.
events() {
	[ "$(grep -c "\"event\":\"$1\"" shared.jsonl)" -eq "$2" ]
}

@test "two runs that write to one trace lose no record of each other" {
	for name in one two; do
		listen_bg $name -k --recv-only -o shared.jsonl 127.0.0.1 0
		ports+=("$PORT")
	done
	for i in 1 2 3; do
		for port in "${ports[@]}"; do
			returns 0 "$HELPERS/peer" connect "$port" "send:number $i of $port" shut eof
		done
		wait_for events close $((2 * i))
	done
	"$HELPERS/json" check <shared.jsonl
	payload received shared.jsonl | sed 's/number/\n&/g' | sort >messages
	for i in 1 2 3; do
		for port in "${ports[@]}"; do
			grep -qx "number $i of $port" messages
		done
	done
}

@test "a trace that may not grow any more takes nothing away from another run that writes to it" {
	random noise 100000
	# shellcheck disable=SC2016 # the inner shell expands it
	start_bg limited bash -c 'ulimit -f 200; exec "$@"' bash "$TCPTOOL" listen -k --recv-only -o shared.jsonl \
		--port-file=limited.port 127.0.0.1 0
	wait_port limited.port
	limited=$PORT
	listen_bg other --recv-only -o shared.jsonl 127.0.0.1 0
	returns 0 "$HELPERS/peer" connect "$PORT" file:noise shut eof
	ends 0 other
	returns 0 "$HELPERS/peer" connect "$limited" file:noise shut eof
	wait_for one_line limited.err 'trace shared.jsonl: File too large'
	wait_for cmp noise limited.out
	"$HELPERS/json" check <shared.jsonl
	payload received shared.jsonl | head -c 100000 | cmp - noise
	events open 2
}

@test "--deadline limits the wait for the reader of a FIFO" {
	mkfifo fifo
	for option in -ofifo --report=fifo; do
		returns 5 "$TCPTOOL" connect $option --deadline=200ms 127.0.0.1 1
		one_line err 'fifo: the FIFO was not opened for reading in time (--deadline)'
	done
}

# --- in every mode -------------------------------------------------------------------------------

@test "a forwarder's connections share one trace, each with its number" {
	listen_bg upstream -k 127.0.0.1 0 -- cat
	listen_bg tool -k -o trace.jsonl -F "127.0.0.1:$PORT" 127.0.0.1 0
	for i in 1 2 3 4; do
		start_bg "client$i" "$HELPERS/peer" connect "$PORT" "send:number $i" shut "rest:number $i"
	done
	for i in 1 2 3 4; do ends 0 "client$i"; done
	wait_for four_closed
	"$HELPERS/json" check <trace.jsonl
	for i in 1 2 3 4; do
		grep "\"connection\":$i," trace.jsonl >one
		[ "$(payload sent one)" = "$(payload received one)" ]
		[[ $(payload received one) == "number "[1-4] ]]
	done
	[ "$(payload received trace.jsonl | fold -w 8 | sort -u | wc -l)" -eq 4 ]
}

four_closed() {
	[ "$(grep -c '"event":"close"' trace.jsonl)" -eq 4 ]
}

@test "the greeting and --expect are traced as well" {
	listen_bg tool -o server.hex --greet 127.0.0.1 0
	returns 0 "$TCPTOOL" connect --greet -o client.hex 127.0.0.1 "$PORT"
	ends 0 tool
	grep -qF '|hello,this is cl|' server.hex
	grep -qF '|welcome 127.0.0.|' client.hex
	peer_bg peer expect:ping send:pong eof
	returns 0 "$TCPTOOL" connect --send=ping --expect=pong -o expect.jsonl 127.0.0.1 "$PORT"
	payload sent expect.jsonl | holds - ping
	payload received expect.jsonl | holds - pong
}

# --- what goes wrong -----------------------------------------------------------------------------

@test "a full disk under the trace is told once, and the session goes on" {
	random noise 200000
	for format in hex jsonl pcapng; do
		peer_bg peer sink:kept
		returns 0 "$TCPTOOL" connect -o /dev/full --trace-format=$format 127.0.0.1 "$PORT" <noise
		one_line err 'trace /dev/full: No space left on device'
		ends 0 peer
		cmp noise kept
	done
}

@test "a trace that may not grow any more ends with a whole record, and no session fails" {
	need_analysers
	random noise 600000
	for file in trace.pcapng trace.jsonl; do
		peer_bg peer sink:kept
		returns 0 bash -c 'ulimit -f 200; exec "$@"' bash "$TCPTOOL" connect -o $file 127.0.0.1 "$PORT" <noise
		one_line err "trace $file: File too large"
		ends 0 peer
		cmp noise kept
		[ "$(stat -c %s $file)" -gt 60000 ]
	done
	tcpdump -nr trace.pcapng >/dev/null 2>dump.err
	fails grep -qv '^reading from file' dump.err
	"$HELPERS/json" check <trace.jsonl
}

@test "a trace that cannot be opened: status 7 before a connection is made" {
	for format in hex raw jsonl pcapng; do
		returns 7 "$TCPTOOL" connect -o no/such/file --trace-format=$format 127.0.0.1 1
		one_line err 'trace no/such/file: No such file or directory'
		returns 7 "$TCPTOOL" listen -o no/such/file --trace-format=$format 127.0.0.1 0
	done
}

@test "a directory is no beginning of the names of raw files" {
	mkdir dir
	for path in dir/ dir/. . ..; do
		returns 7 "$TCPTOOL" connect -o $path --trace-format=raw 127.0.0.1 1
		one_line err "trace $path: Is a directory"
	done
	[ -z "$(ls -A dir)" ]
	# beside one, files may be
	peer_bg peer expect:hello close
	returns 0 "$TCPTOOL" connect -o dir --trace-format=raw 127.0.0.1 "$PORT" < <(printf hello)
	holds dir.1.out hello
}

@test "raw files that cannot be made are told once; what was connected is served" {
	mkdir taken.1.in
	peer_bg peer expect:hello shut eof
	returns 0 "$TCPTOOL" connect -o taken --trace-format=raw 127.0.0.1 "$PORT" < <(printf hello)
	one_line err 'trace taken.1.in: Is a directory'
	ends 0 peer
}

# stalled NAME: the background command waits for the reader of its trace, descriptor 6: the pipe is full, and
# the command does nothing any more.
stalled() {
	"$HELPERS/full" >&6 && asleep "$1" && "$HELPERS/pause" 20 && asleep "$1"
}

# new_pipe: a FIFO "trace" that can be opened to be written to, for descriptor 6 is its reader.
new_pipe() {
	rm -f trace
	mkfifo trace
	exec 6<>trace
}

asleep() {
	[ "$(cut -d ' ' -f 3 "/proc/${PIDS[$1]}/stat")" = S ]
}

@test "a trace whose reader has stalled holds up neither a signal nor --deadline" {
	random noise 300000
	for format in hex jsonl pcapng; do
		new_pipe
		listen_bg upstream -k --recv-only 127.0.0.1 0
		listen_bg tool -k -o trace --trace-format=$format -F "127.0.0.1:$PORT" 127.0.0.1 0
		start_bg client "$HELPERS/peer" connect "$PORT" file:noise sink
		wait_for stalled tool
		kill "${PIDS[tool]}"
		ends 143 tool
		one_line tool.err 'trace trace: its reader has stalled, and a signal came'
		new_pipe
		peer_bg peer gulp:300000 hold
		returns 5 "$TCPTOOL" connect -o trace --trace-format=$format --deadline=500ms 127.0.0.1 "$PORT" <noise
		grep -q 'trace trace: its reader has stalled, and the time is over; no more is written to it' err
		[ "$(wc -l <err)" -eq 2 ]
	done
}

@test "-x into a pipe whose reader has stalled holds up neither a signal nor --deadline" {
	random noise 300000
	new_pipe
	listen_bg upstream -k --recv-only 127.0.0.1 0
	# shellcheck disable=SC2016 # the inner shell expands it
	start_bg tool bash -c 'exec "$@" 2>trace' bash "$TCPTOOL" listen -x -v -k --port-file=port \
		-F "127.0.0.1:$PORT" 127.0.0.1 0
	wait_port port
	start_bg client "$HELPERS/peer" connect "$PORT" file:noise sink
	wait_for stalled tool
	kill "${PIDS[tool]}"
	ends 143 tool
	new_pipe
	peer_bg peer gulp:300000 hold
	# shellcheck disable=SC2016
	returns 5 bash -c 'exec "$@" 2>trace' bash "$TCPTOOL" connect -x -v --deadline=500ms 127.0.0.1 "$PORT" <noise
}

@test "a trace into a pipe waits for its reader, and is whole" {
	random noise 300000
	peer_bg peer file:noise sink:kept
	new_pipe
	IN=noise start_bg tool "$TCPTOOL" connect -o trace --trace-format=jsonl 127.0.0.1 "$PORT"
	wait_for stalled tool
	start_bg reader cat trace
	ends 0 tool
	ends 0 peer
	cmp noise kept
	cmp noise tool.out
	wait_for grep -q '"event":"close"' reader.out
	"$HELPERS/json" check <reader.out
	payload sent reader.out | cmp - noise
	payload received reader.out | cmp - noise
}
