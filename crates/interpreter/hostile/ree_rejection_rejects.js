const r = () => Promise.reject({ get message() { r(); r(); return 'again' } });
r(); 'done'