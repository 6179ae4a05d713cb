try { await 1 } catch (await_) {} var async = 1; async
1