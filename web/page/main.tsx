document.title = 'Scarab'
