/* The life of streams: every arrow of the diagram in stream.h. The hub's thread only. */
#pragma once

#include "stream/hub_state.h"

/* Makes the opening a stream, or turns it away; takes the opening and its descriptor. */
void life_open(struct hub *hub, struct opening *opening);
/* A page for a stream arrived. */
void life_take_page(struct hub *hub, struct replay_job *job);
/* The socket takes bytes again. */
void life_writable(struct hub *hub, struct stream *stream);
/* The stream's timer is due: heartbeat, end of session. */
void life_timer(struct hub *hub, struct stream *stream);

/* A LIVE stream that cannot be given this event goes on from its position. */
void life_fall_behind(struct hub *hub, struct stream *stream);
/* Writes a tick's frames to their streams. */
void life_push(struct hub *hub);
/* Lets the streams go on that have something to send. Those that are not done get another turn. */
void life_catch_up(struct hub *hub);
/* Gives replay slots to those that wait for one, the longest waiting first. */
void life_grant_slots(struct hub *hub);

/* The streams of a device whose session ended say why, and end. */
void life_remove_device(struct hub *hub, uint64_t user_id, uint64_t device_id, enum closing reason);
/* Says why and closes; a stream that cannot be told, because its socket is full within a frame, is just closed. */
void life_end(struct hub *hub, struct stream *stream, enum closing reason);
void life_close(struct hub *hub, struct stream *stream);
/* The log is another one, at `head_id`: the hub's position, ring and index begin there, and all streams with them. */
void life_restart(struct hub *hub, uint64_t head_id);
/* The database was away: what was read of it beyond the hub's position is forgotten, and the streams that were taken there are judged again. */
void life_doubt(struct hub *hub);
/* Closes the streams of broken listeners. */
void life_close_broken(struct hub *hub);
/* Closes the streams that have been stuck for longest while half-sent frames take too much memory. */
void life_relieve(struct hub *hub);
/* Frees closed streams; nothing may refer to them any more. */
void life_bury(struct hub *hub);
