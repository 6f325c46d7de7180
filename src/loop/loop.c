#include "loop/loop.h"

#include "loop/timer.h"

static bool stopping;

int loop_open(void)
{
	return pollset_open();
}

void loop_close(void)
{
	pollset_close();
}

int loop_run(void)
{
	int r = 0;

	stopping = false;
	while (r >= 0) {
		task_run_ready(&stopping);
		if (stopping)
			return 0;
		r = pollset_wait(task_any_ready() ? 0 : timer_next());
		timer_wake_due();
	}
	return r;
}

void loop_stop(void)
{
	stopping = true;
}
