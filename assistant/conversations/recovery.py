"""Answers what was left unanswered: after the engine was away, after this process was killed."""

import asyncio

import structlog

from assistant.conversations.gateway import DialogueEngine, Gateway

log = structlog.get_logger()


async def recover(gateway: Gateway, engine: DialogueEngine, stop: asyncio.Event, *, every_s: float = 1.0) -> None:
    """Until `stop`: when the engine is ready, answer pending conversations one after the other."""
    while not stop.is_set():
        try:
            # Fresh messages are being answered by whoever received them.
            pending = await gateway.pending_conversations(older_than_s=2)
            if pending and await engine.ready():
                for conversation_id in pending:
                    await gateway.answer_pending(conversation_id)
                log.info("recovered", conversations=len(pending))
        except Exception as error:
            log.error("recovery_failed", error=type(error).__name__)
        try:
            async with asyncio.timeout(every_s):
                await stop.wait()
        except TimeoutError:
            continue
