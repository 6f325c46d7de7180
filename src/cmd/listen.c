/* tcptool listen: socket, bind, listen, accept; then sessions. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/diag.h"
#include "base/exitcode.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/operands.h"
#include "loop/loop.h"

static const struct stage *const plan_relay[] = {&stage_relay, &stage_settle, NULL};
static const struct stage *const plan_greet[] = {&stage_greet_host, &stage_settle, NULL};

/* Says why listening failed. Returns the exit status. */
static int cannot_listen(const struct settings *s, const struct listener *l, int error)
{
	char text[ENDPOINT_TEXT];

	if (error == -ENOENT) {
		diag_failure("look up %s: %s", s->listen.host, resolve_reason(l->look_up_error));
		return EXIT_UNRESOLVED;
	}
	diag_failure("listen on %s port %u: %s", endpoint_text(&l->failed_at, text),
		     endpoint_port(&l->failed_at), strerror(-error));
	return exitcode_for(error, EXIT_LISTEN);
}

static int serve(struct settings *s)
{
	struct listener l;
	int r = listener_open(&l, &s->listen);

	if (r < 0)
		return cannot_listen(s, &l, r);
	r = announce(&s->announce, &l);
	if (r) {
		listener_close(&l);
		return r;
	}
	return server_run(&s->server, &l);
}

static int run(struct settings *s)
{
	int r = operands_listen(s);

	if (r)
		return r;
	s->session.plan = s->greet ? plan_greet : plan_relay;
	/* stdin and stdout can serve one at a time */
	if (!s->greet)
		s->server.max_connections = 1;
	r = loop_open();
	if (r < 0) {
		diag_failure("cannot wait: %s", strerror(-r));
		return exitcode_for(r, EXIT_LISTEN);
	}
	r = serve(s);
	loop_close();
	return r;
}

int cmd_listen(int argc, char **argv)
{
	struct settings s;
	int r = options_parse(&s, IN_LISTEN, argc, argv);

	if (r == 0 && !s.help)
		r = run(&s);
	options_free(&s);
	return r;
}
